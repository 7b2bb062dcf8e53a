/** The composition root of a further thread of the sandbox process: it hosts isolates of libraries that asked for several. */
import { workerData } from "node:worker_threads";
import { RunningCode } from "../sandbox/host/running-code.ts";
import type { ThreadMemory } from "../sandbox/host/thread-memory.ts";
import { hostThread } from "./sandbox-host.ts";

const { thread, memory }: { thread: number; memory: ThreadMemory } = workerData;

hostThread({
  thread,
  memory,
  running: new RunningCode(memory.code, thread),
  // The main thread has started what watches all of them, and only it is traced.
  watched: () => undefined,
  startThread: () => undefined,
});
