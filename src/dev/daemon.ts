import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { Fault } from "../base/fault.ts";
import type { Reaper } from "./reaper.ts";

const READY_POLL_MS = 20;
const LOG_TAIL_LINES = 15;

export interface DaemonSpec {
  /** For messages, for example `redis-server on port 7001`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Where it runs; made where it is missing. */
  readonly directory: string;
  /** stdout and stderr are appended to this file of the directory. */
  readonly logName: string;
  /** Whether it serves. Asked again and again while it starts; must not reject. */
  readonly isReady: () => Promise<boolean>;
  /** Longest start. Unit: ms. */
  readonly readyWithinMs: number;
  /** Longest end after a signal that ends it. Unit: ms. */
  readonly stopWithinMs: number;
}

interface Running {
  readonly pid: number;
  /** How it ended, in words. */
  readonly ended: Promise<string>;
}

/**
 * A server process that can be killed, paused and started again at the same place. It leads a process group of its own, so that
 * a Ctrl-C in the terminal reaches only us, who stop things in order, and so that its children die with it.
 */
export class Daemon implements AsyncDisposable {
  readonly #spec: DaemonSpec;
  readonly #reaper: Reaper;
  #running: Running | undefined;

  constructor(spec: DaemonSpec, reaper: Reaper) {
    this.#spec = spec;
    this.#reaper = reaper;
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#running?.pid;
  }

  get logPath(): string {
    return join(this.#spec.directory, this.#spec.logName);
  }

  /** Resolves once it serves. Rejects with UNAVAILABLE and the end of its log where it does not. */
  async start(signal?: AbortSignal): Promise<void> {
    const { name, isReady, readyWithinMs } = this.#spec;
    if (this.#running) throw new Fault("INVALID_ARGUMENT", `${name} runs already`);
    // Otherwise another server at the same place would pass for this one.
    if (await isReady()) throw new Fault("UNAVAILABLE", `${name} cannot start: another server answers there`);
    const running = await this.#spawn();
    const giveUpAt = performance.now() + readyWithinMs;
    for (;;) {
      const ended = await Promise.race([running.ended, delay(READY_POLL_MS)]);
      if (ended !== undefined) throw this.#fault(`ended before it was ready (${ended})`);
      signal?.throwIfAborted();
      if (await isReady()) return;
      if (performance.now() > giveUpAt) {
        await this.kill();
        throw this.#fault(`was not ready within ${readyWithinMs} ms`);
      }
    }
  }

  /** Sends the signal and waits for the end. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const running = this.#running;
    if (!running) return;
    process.kill(running.pid, signal);
    if (!(await this.#endsInTime(running))) throw this.#fault(`did not end within ${this.#spec.stopWithinMs} ms`);
  }

  /** SIGSTOP: it keeps its connections and says nothing. */
  pause(): void {
    if (this.#running) process.kill(this.#running.pid, "SIGSTOP");
  }

  resume(): void {
    if (this.#running) process.kill(this.#running.pid, "SIGCONT");
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Asks it to end, and after `stopWithinMs` ends it. Nothing of its process group is left. */
  async stop(): Promise<void> {
    const running = this.#running;
    if (!running) return;
    process.kill(running.pid, "SIGTERM");
    this.resume(); // a paused process does not even see the SIGTERM
    await this.#endsInTime(running);
    killGroup(running.pid);
    await running.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #spawn(): Promise<Running> {
    const { name, command, args, env, directory } = this.#spec;
    mkdirSync(directory, { recursive: true });
    const log = openSync(this.logPath, "a", 0o600);
    try {
      const child = spawn(command, args, { cwd: directory, env, detached: true, stdio: ["ignore", log, log] });
      await once(child, "spawn");
      const { pid } = child;
      if (pid === undefined) throw new Fault("UNAVAILABLE", `${name} did not start`);
      this.#reaper.tell({ watch: pid });
      const ended = once(child, "exit").then(([code, signal]) => {
        this.#reaper.tell({ forget: pid });
        if (this.#running?.pid === pid) this.#running = undefined;
        return signal ? `signal ${signal}` : `exit code ${code}`;
      });
      this.#running = { pid, ended };
      return this.#running;
    } finally {
      closeSync(log);
    }
  }

  async #endsInTime({ ended }: Running): Promise<boolean> {
    const timeout = new AbortController();
    const late = delay(this.#spec.stopWithinMs, "late", { signal: timeout.signal }).catch(() => "late");
    const first = await Promise.race([ended, late]);
    timeout.abort();
    return first !== "late";
  }

  #fault(what: string): Fault {
    const tail = readFileSync(this.logPath, "utf8").trimEnd().split("\n").slice(-LOG_TAIL_LINES);
    return new Fault("UNAVAILABLE", [`${this.#spec.name} ${what}. The end of ${this.logPath}:`, ...tail].join("\n  "));
  }
}

function killGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // Nobody was left.
  }
}
