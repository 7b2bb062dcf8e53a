import { Worker } from "node:worker_threads";

const THREAD = import.meta.url.endsWith(".ts") ? "./watchdog-thread.ts" : "./watchdog-thread.js";

/**
 * Starts the thread that watches the others. `memory` is of `codeMemory`; `descriptor` is where it reports, apart from the threads' own sockets,
 * which one that is stuck may have half a frame in.
 */
export function startWatchdog(memory: SharedArrayBuffer, descriptor: number): void {
  new Worker(new URL(THREAD, import.meta.url), { workerData: { memory, descriptor } }).unref();
}
