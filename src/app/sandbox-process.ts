/**
 * The composition root of the sandbox process, and of its main thread. Its coordinator starts it with one socket for each thread that there may
 * be, and says in its argument how many these are.
 */
import { Worker } from "node:worker_threads";
import { MAIN_THREAD, WATCHDOG_DESCRIPTOR } from "../sandbox/descriptors.ts";
import { RunningCode } from "../sandbox/host/running-code.ts";
import { createThreadMemory } from "../sandbox/host/thread-memory.ts";
import { startWatchdog } from "../sandbox/host/watchdog.ts";
import { hostThread } from "./sandbox-host.ts";

/** The repository holds .ts, and what is published .js. */
const THREAD_ENTRY = import.meta.url.endsWith(".ts") ? "./sandbox-thread.ts" : "./sandbox-thread.js";

const [, , threads] = process.argv;
const memory = createThreadMemory(Number(threads));
const running = new RunningCode(memory.code, MAIN_THREAD);

hostThread({
  thread: MAIN_THREAD,
  memory,
  running,
  watched(traceMs) {
    running.trace(WATCHDOG_DESCRIPTOR, traceMs);
    startWatchdog(memory.code, WATCHDOG_DESCRIPTOR);
  },
  startThread(thread) {
    new Worker(new URL(THREAD_ENTRY, import.meta.url), { workerData: { thread, memory } });
  },
});
