import { monotonicMs } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";

/**
 * How long the code that runs now has had the shard: from the first command of its block until the code returns. Blocks without a pause between
 * them have it like one, since no other code gets a turn meanwhile.
 */
export class ShardHold {
  readonly #maxMs: number;
  #sinceMs: number | undefined;

  /** `maxMs`: how long one block may keep the others waiting. */
  constructor(maxMs: number) {
    this.#maxMs = maxMs;
  }

  /** Before each command. Throws FUNCTION_TIMEOUT where the code has had the shard for too long. */
  take(): void {
    this.#sinceMs ??= monotonicMs();
    if (monotonicMs() - this.#sinceMs <= this.#maxMs) return;
    const text = `the block held its shard longer than lock-redis-timeout allows (${this.#maxMs} ms)`;
    throw new Fault("FUNCTION_TIMEOUT", text);
  }

  /** The code has returned, or was ended. Idempotent. */
  release(): void {
    this.#sinceMs = undefined;
  }

  /** Runs other code while this one waits: its time is its own. */
  lend<T>(action: () => T): T {
    const lentMs = monotonicMs();
    const hadMs = lentMs - (this.#sinceMs ?? lentMs);
    this.#sinceMs = undefined;
    try {
      return action();
    } finally {
      this.#sinceMs = monotonicMs() - hadMs;
    }
  }
}
