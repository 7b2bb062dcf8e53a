/** A thread of the lock's test: takes the lock again and again, and says what it saw while it had it. */
import { parentPort, workerData } from "node:worker_threads";
import { type LockMode, ShardLock } from "../../../src/sandbox/host/shard-lock.ts";

interface LockThread {
  readonly memory: SharedArrayBuffer;
  /** How many read, and how many write at present. */
  readonly inside: SharedArrayBuffer;
  readonly thread: number;
  readonly steps: readonly { readonly mode: LockMode; readonly waitMs: number; readonly spins: number }[];
}

const { memory, inside, thread, steps }: LockThread = workerData;
const counts = new Int32Array(inside);
const lock = new ShardLock(memory, thread);
const broken: string[] = [];
let acquired = 0;
for (const { mode, waitMs, spins } of steps) {
  if (!lock.acquire(mode, waitMs)) continue;
  acquired++;
  const [mine, others] = mode === "shared" ? [0, 1] : [1, 0];
  const before = Atomics.add(counts, mine, 1);
  for (let i = 0; i < spins; i++) if (Atomics.load(counts, others) > 0) broken.push(`${mode} beside the other mode`);
  if (mode === "alone" && before > 0) broken.push("two have it alone");
  Atomics.sub(counts, mine, 1);
  lock.release(mode);
}
parentPort?.postMessage({ acquired, broken: broken.slice(0, 3) });
