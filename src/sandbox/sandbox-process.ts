import { type ChildProcess, spawn } from "node:child_process";
import { Duplex } from "node:stream";
import { monotonicMs } from "../base/deadline.ts";
import { SOCKET_DESCRIPTOR, WATCHDOG_DESCRIPTOR } from "./descriptors.ts";
import { FrameChannel } from "./frame-channel.ts";
import { encodeOrder, type Order } from "./orders.ts";
import { decodeReport, type Report } from "./reports.ts";
import { PROCESS_STACK_KB } from "./stack-size.ts";

const WATCH_PERIOD_MS = 500;

/** A process whose watchdog is silent this long does not run any more. */
const SILENCE_TIMEOUT_MS = 2000;

/** Node, its modules and the connection: slow on a machine that is busy. */
const START_TIMEOUT_MS = 30_000;

/** What the process wrote last before it died: V8 says there what killed it. */
const MAX_STDERR_CHARS = 4096;

/** How a sandbox process ended. */
export interface ProcessEnd {
  readonly pid: number | undefined;
  /** Why we ended it, or how it ended by itself. */
  readonly reason: string;
  readonly stderr: string;
}

/** What its owner knows and must know. */
export interface ProcessOwner {
  /** Whether one run at most is under way. */
  isAlone(): boolean;
  report(report: Report): void;
  /** The last event. */
  ended(end: ProcessEnd): void;
}

/** One life of the sandbox process: it is watched from its start, and ended for good when it does not answer. */
export class SandboxProcess {
  readonly #child: ChildProcess;
  readonly #channel: FrameChannel;
  readonly #owner: ProcessOwner;
  readonly #watch: NodeJS.Timeout;
  /** When it was started, or last said that it lives. */
  #heardMs = monotonicMs();
  #isReady = false;
  #hasEnded = false;
  #lastTickMs = monotonicMs();
  #killReason: string | undefined;
  #stderr = "";

  private constructor(child: ChildProcess, socket: Duplex, watchdog: Duplex, owner: ProcessOwner) {
    this.#child = child;
    this.#owner = owner;
    const frame = (bytes: Buffer) => this.#received(bytes);
    const ended = () => this.kill("it closed its socket");
    this.#channel = new FrameChannel(socket, { frame, ended }, () => owner.isAlone());
    new FrameChannel(watchdog, { frame, ended: () => undefined });
    this.#watch = setInterval(() => this.#tick(), WATCH_PERIOD_MS);
    this.#watch.unref();
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-MAX_STDERR_CHARS);
    });
    child.once("error", (error) => this.#ended(error.message));
    child.once("close", (code, signal) => this.#ended(signal ? `ended by ${signal}` : `exit code ${code}`));
  }

  /** `entry` is the file of the process's composition root, which inherits its sockets; see descriptors.ts. */
  static spawn(entry: string, owner: ProcessOwner): SandboxProcess {
    const flags = ["--no-node-snapshot", "--disable-warning=ExperimentalWarning", `--stack-size=${PROCESS_STACK_KB}`];
    const child = spawn(process.execPath, [...flags, entry], {
      stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"],
      env: inheritedEnvironment(),
    });
    const socket = (descriptor: number): Duplex => {
      const stream = child.stdio[descriptor];
      if (stream instanceof Duplex) return stream;
      throw new Error("the sandbox process has no socket");
    };
    return new SandboxProcess(child, socket(SOCKET_DESCRIPTOR), socket(WATCHDOG_DESCRIPTOR), owner);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Bytes that the process has not taken yet. */
  get waitingBytes(): number {
    return this.#channel.waitingBytes;
  }

  /** It was killed and has not ended yet: nothing sent to it will be done. */
  get isDoomed(): boolean {
    return this.#killReason !== undefined;
  }

  send(order: Order): void {
    this.#channel.send(encodeOrder(order));
  }

  /** Ends the process whatever it does; `ended` follows. The first reason counts. */
  kill(reason: string): void {
    this.#killReason ??= reason;
    this.#child.kill("SIGKILL");
  }

  #received(bytes: Buffer): void {
    let report: Report;
    try {
      report = decodeReport(bytes);
    } catch {
      this.kill("it sent what is no report");
      return;
    }
    if (report.kind === "ready") this.#isReady = true;
    this.#heardMs = monotonicMs();
    if (report.kind === "stuck") this.kill(report.reason);
    this.#owner.report(report);
  }

  #tick(): void {
    const now = monotonicMs();
    // When our own loop was held up, what it said may lie unread: its silence says nothing then.
    const wasHeldUp = now - this.#lastTickMs > 2 * WATCH_PERIOD_MS;
    this.#lastTickMs = now;
    const timeoutMs = this.#isReady ? SILENCE_TIMEOUT_MS : START_TIMEOUT_MS;
    if (!wasHeldUp && now - this.#heardMs > timeoutMs) this.kill(`it was silent for ${timeoutMs} ms`);
  }

  #ended(reason: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearInterval(this.#watch);
    this.#channel.close();
    this.#owner.ended({ pid: this.pid, reason: this.#killReason ?? reason, stderr: this.#stderr });
  }
}

/** What Node itself and the libraries' dates depend on. The rest of the coordinator's environment may hold secrets. */
const INHERITED = ["LD_LIBRARY_PATH", "TZ", "NODE_COMPILE_CACHE"];

function inheritedEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => INHERITED.includes(name)));
}
