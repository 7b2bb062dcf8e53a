import { Worker } from "node:worker_threads";

const THREAD = import.meta.url.endsWith(".ts") ? "./watchdog-thread.ts" : "./watchdog-thread.js";

/**
 * Starts the thread that watches the main thread. `memory` is of RunningCode; `descriptor` is where it reports, apart from the main thread's
 * socket, which may have half a frame in it when that thread is stuck.
 */
export function startWatchdog(memory: SharedArrayBuffer, descriptor: number): void {
  new Worker(new URL(THREAD, import.meta.url), { workerData: { memory, descriptor } }).unref();
}
