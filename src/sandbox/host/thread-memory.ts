import { codeMemory } from "./running-code.ts";
import { lockMemory } from "./shard-lock.ts";

/** What the threads of a sandbox process share. */
export interface ThreadMemory {
  /** Whose code each of them runs; see RunningCode. */
  readonly code: SharedArrayBuffer;
  /** See ShardLock. */
  readonly lock: SharedArrayBuffer;
}

/** For as many threads as there may be. */
export function createThreadMemory(threads: number): ThreadMemory {
  return { code: codeMemory(threads), lock: lockMemory(threads) };
}
