import { monotonicMs } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import type { LockMode, ShardLock } from "./shard-lock.ts";

interface Held {
  readonly mode: LockMode;
  readonly sinceMs: number;
}

/**
 * What the code that runs on this thread holds of the shard: from the first command of a block until the code returns. Blocks without a pause
 * between them hold it like one: nobody else on this thread gets a turn meanwhile anyway.
 */
export class ShardHold {
  readonly #lock: ShardLock;
  readonly #maxHoldMs: number;
  #held: Held | undefined;

  /** `maxHoldMs`: how long one block may keep the others waiting. */
  constructor(lock: ShardLock, maxHoldMs: number) {
    this.#lock = lock;
    this.#maxHoldMs = maxHoldMs;
  }

  /** Before each command. Throws FUNCTION_TIMEOUT where the shard is held for too long, DEADLINE_EXCEEDED where others do so for `waitMs`. */
  take(mode: LockMode, waitMs: number): void {
    const held = this.#held;
    if (!held || (held.mode === "shared" && mode === "alone")) {
      // A read-only block of one run may be followed by another run's that writes, where the one settles what the other waits for.
      this.release();
      if (!this.#lock.acquire(mode, waitMs)) {
        throw new Fault("DEADLINE_EXCEEDED", "the call's deadline passed while its block waited for the shard");
      }
      this.#held = { mode, sinceMs: monotonicMs() };
    } else if (monotonicMs() - held.sinceMs > this.#maxHoldMs) {
      const text = `the block held its shard longer than lock-redis-timeout allows (${this.#maxHoldMs} ms)`;
      throw new Fault("FUNCTION_TIMEOUT", text);
    }
  }

  /** The code has returned, or was ended. Idempotent. */
  release(): void {
    if (!this.#held) return;
    this.#lock.release(this.#held.mode);
    this.#held = undefined;
  }
}
