import { type ChildProcess, spawn } from "node:child_process";
import { Duplex } from "node:stream";
import { monotonicMs } from "../base/deadline.ts";
import { descriptorOfThread, MAIN_THREAD, WATCHDOG_DESCRIPTOR } from "./descriptors.ts";
import { FrameChannel } from "./frame-channel.ts";
import { encodeOrder, type Order } from "./orders.ts";
import { decodeReport, type Report } from "./reports.ts";

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
  /** `thread` is the one that says it. */
  report(report: Report, thread: number): void;
  /** The last event. */
  ended(end: ProcessEnd): void;
}

/** One life of the sandbox process: it is watched from its start, and ended for good when it does not answer. */
export class SandboxProcess {
  readonly #child: ChildProcess;
  /** One for each thread that there may be. */
  readonly #channels: readonly FrameChannel[];
  readonly #owner: ProcessOwner;
  readonly #watch: NodeJS.Timeout;
  /** When it was started, or last said that it lives. */
  #heardMs = monotonicMs();
  #isReady = false;
  #hasEnded = false;
  #lastTickMs = monotonicMs();
  #killReason: string | undefined;
  #stderr = "";

  private constructor(child: ChildProcess, sockets: readonly Duplex[], watchdog: Duplex, owner: ProcessOwner) {
    this.#child = child;
    this.#owner = owner;
    this.#channels = sockets.map((socket, thread) => {
      const receiver = {
        frame: (bytes: Buffer) => this.#received(bytes, thread),
        ended: () => this.kill("it closed its socket"),
      };
      return new FrameChannel(socket, receiver, () => owner.isAlone());
    });
    new FrameChannel(watchdog, { frame: (bytes) => this.#received(bytes, MAIN_THREAD), ended: () => undefined });
    this.#watch = setInterval(() => this.#tick(), WATCH_PERIOD_MS);
    this.#watch.unref();
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-MAX_STDERR_CHARS);
    });
    child.once("error", (error) => this.#ended(error.message));
    child.once("close", (code, signal) => this.#ended(signal ? `ended by ${signal}` : `exit code ${code}`));
  }

  /**
   * `entry` is the file of the process's composition root, `threads` how many it may have, which it is told by its argument. Their sockets
   * are its descriptors.
   */
  static spawn(entry: string, threads: number, owner: ProcessOwner): SandboxProcess {
    const flags = ["--no-node-snapshot", "--disable-warning=ExperimentalWarning"];
    const pipes = Array.from({ length: threads + 1 }, () => "pipe" as const);
    const child = spawn(process.execPath, [...flags, entry, String(threads)], {
      stdio: ["ignore", "ignore", "pipe", ...pipes],
      env: inheritedEnvironment(),
    });
    const socket = (descriptor: number): Duplex => {
      const stream = child.stdio[descriptor];
      if (stream instanceof Duplex) return stream;
      throw new Error("the sandbox process has no socket");
    };
    const sockets = Array.from({ length: threads }, (_, thread) => socket(descriptorOfThread(thread)));
    return new SandboxProcess(child, sockets, socket(WATCHDOG_DESCRIPTOR), owner);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Bytes that the process has not taken yet. */
  get waitingBytes(): number {
    return this.#channels.reduce((sum, { waitingBytes }) => sum + waitingBytes, 0);
  }

  /** It was killed and has not ended yet: nothing sent to it will be done. */
  get isDoomed(): boolean {
    return this.#killReason !== undefined;
  }

  send(order: Order, thread: number): void {
    this.#channels[thread]?.send(encodeOrder(order));
  }

  /** Ends the process whatever it does; `ended` follows. The first reason counts. */
  kill(reason: string): void {
    this.#killReason ??= reason;
    this.#child.kill("SIGKILL");
  }

  #received(bytes: Buffer, thread: number): void {
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
    this.#owner.report(report, thread);
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
    for (const channel of this.#channels) channel.close();
    this.#owner.ended({ pid: this.pid, reason: this.#killReason ?? reason, stderr: this.#stderr });
  }
}

/** The coordinator's environment may hold secrets; this is what Node itself and the libraries' dates depend on. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  const { LD_LIBRARY_PATH, TZ } = process.env;
  return { ...(LD_LIBRARY_PATH && { LD_LIBRARY_PATH }), ...(TZ && { TZ }) };
}
