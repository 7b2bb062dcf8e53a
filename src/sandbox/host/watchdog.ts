import { Worker } from "node:worker_threads";

/** What the watchdog's thread sees of the main thread. */
export interface WatchedState {
  /** Grows with every entry into an isolate, every return from one, and every command in between. */
  readonly progress: number;
  /** The run whose code has the main thread; 0: none has, or it waits for Redis. */
  readonly runId: number;
  /** What that code may take. Unit: ms. */
  readonly timeoutMs: number;
}

const PROGRESS = 0;
const RUN_ID = 1;
const TIMEOUT_MS = 2;

/** The main thread's side of the watchdog: says what it is doing, in memory that both threads see. */
export class Watchdog {
  readonly #shared = new Float64Array(new SharedArrayBuffer(3 * Float64Array.BYTES_PER_ELEMENT));

  /** Starts the thread. `descriptor` is where it reports, since the main thread may be stuck. */
  start(descriptor: number): void {
    const worker = new Worker(new URL(WORKER, import.meta.url), { workerData: { shared: this.#shared, descriptor } });
    worker.unref();
  }

  /** Code of a run is about to be entered, or goes on after it waited. */
  enter(runId: number, timeoutMs: number): void {
    this.#shared[TIMEOUT_MS] = timeoutMs;
    this.#shared[RUN_ID] = runId;
    this.#progress();
  }

  /** It has returned, or waits for something that is not its own doing. */
  leave(): void {
    this.#shared[RUN_ID] = 0;
    this.#progress();
  }

  #progress(): void {
    this.#shared[PROGRESS] = (this.#shared[PROGRESS] ?? 0) + 1;
  }
}

/** Reads what the main thread says. The numbers are only looked at for standing still: none of them has to fit another. */
export function readState(shared: Float64Array): WatchedState {
  return { progress: shared[PROGRESS] ?? 0, runId: shared[RUN_ID] ?? 0, timeoutMs: shared[TIMEOUT_MS] ?? 0 };
}

const WORKER = import.meta.url.endsWith(".ts") ? "./watchdog-thread.ts" : "./watchdog-thread.js";
