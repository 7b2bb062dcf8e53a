import { writeSync } from "node:fs";
import { lengthPrefixed } from "../frame-channel.ts";
import { encodeReport } from "../reports.ts";

/** What the watchdog's thread sees of the main thread. */
export interface CodeState {
  /** Grows with every entry into an isolate, every return from one, and every command in between. */
  readonly progress: number;
  /** The run whose code has the main thread; 0: none has, or it waits for Redis. */
  readonly runId: number;
  /** What that code may take. Unit: ms. */
  readonly timeoutMs: number;
  /** The load of the library whose code it is. */
  readonly loadId: number;
}

const PROGRESS = 0;
const RUN_ID = 1;
const TIMEOUT_MS = 2;
const LOAD_ID = 3;
const FIELDS = 4;

/** Whose code the main thread runs, in memory that the watchdog's thread sees. */
export class RunningCode {
  /** For `codeState`. */
  readonly memory = new SharedArrayBuffer(FIELDS * Float64Array.BYTES_PER_ELEMENT);
  readonly #shared = new Float64Array(this.memory);
  /** Where it is reported whose code is running, as long as it is. */
  #traceDescriptor: number | undefined;

  /** For `traceMs` it is reported on the descriptor whose code is running: at once, since the process may end the next moment. */
  trace(descriptor: number, traceMs: number): void {
    if (traceMs === 0) return;
    this.#traceDescriptor = descriptor;
    setTimeout(() => {
      this.#traceDescriptor = undefined;
      report(descriptor, undefined);
    }, traceMs).unref();
  }

  /** Code of a run is about to be entered, or goes on after it waited. */
  enter(runId: number, loadId: number, timeoutMs: number): void {
    if (this.#traceDescriptor !== undefined) report(this.#traceDescriptor, loadId);
    this.#shared[LOAD_ID] = loadId;
    this.#shared[TIMEOUT_MS] = timeoutMs;
    this.#shared[RUN_ID] = runId;
    this.#progress();
  }

  /** It has returned, or waits for something that is not its own doing. */
  leave(): void {
    this.#shared[RUN_ID] = 0;
    this.#progress();
    // Last, since it waits where the coordinator is held up, which is not the run's own time.
    if (this.#traceDescriptor !== undefined) report(this.#traceDescriptor, 0);
  }

  #progress(): void {
    this.#shared[PROGRESS] = (this.#shared[PROGRESS] ?? 0) + 1;
  }
}

/** What the main thread does. The numbers are only looked at for standing still: none of them has to fit another. */
export function codeState(memory: SharedArrayBuffer): CodeState {
  const [progress = 0, runId = 0, timeoutMs = 0, loadId = 0] = new Float64Array(memory);
  return { progress, runId, timeoutMs, loadId };
}

/** The descriptor blocks: nothing is lost where the coordinator is held up, or the wrong library would be blamed. */
function report(descriptor: number, loadId: number | undefined): void {
  try {
    writeSync(descriptor, lengthPrefixed(encodeReport({ kind: "running", loadId })));
  } catch {
    // The coordinator is gone, and this process is about to go.
  }
}
