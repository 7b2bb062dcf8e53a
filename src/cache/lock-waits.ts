import type { CallContext } from "../base/call-context.ts";
import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import { within } from "../base/within.ts";

export interface LockWaitsParts {
  readonly clock: Clock;
  /** From the end of one round to the next. Unit: ms. */
  readonly periodMs: number;
  /** Callers that may wait. */
  readonly maxWaits: number;
}

/** Who waits for a key tries again with so many others at once, where there is something to get. */
const BATCH = 256;

/** One who waits. */
interface Wait {
  /** Whether it waits no longer. Never rejects. */
  attempt(): Promise<boolean>;
}

/** Those who wait for one key. */
interface Queue {
  readonly waits: Set<Wait>;
  /** Whether they are at it, and whether somebody woke them meanwhile. */
  isTrying: boolean;
  isWoken: boolean;
}

/**
 * Callers that wait until a key is unlocked, in the order they came. In each round the first one of each key tries; only where it got something do the others, so that a key which a thousand callers
 * wait for costs Redis as much as one. What happens here wakes them at once, what happens at other nodes within a round: to tell those would cost every saving a message to each.
 */
export class LockWaits {
  readonly #parts: LockWaitsParts;
  readonly #queues = new Map<string, Queue>();
  #waiting = 0;
  #isRunning = false;

  constructor(parts: LockWaitsParts) {
    this.#parts = parts;
  }

  /** Callers that wait now. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Tries again and again until `attempt` gives something. Rejects with what it rejects with, with DEADLINE_EXCEEDED or CANCELLED as the context says, and with RESOURCE_EXHAUSTED where too many
   * wait. An attempt that is under way when the context ends is left alone: what it gets, it must give back itself.
   */
  async until<T>(key: string, attempt: () => Promise<T | undefined>, context: CallContext): Promise<T> {
    const { maxWaits } = this.#parts;
    if (this.#waiting >= maxWaits) {
      throw new Fault(
        "RESOURCE_EXHAUSTED",
        `${maxWaits} callers wait for locked keys (maxCacheWaits); try again later`,
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const wait: Wait = {
      attempt: () =>
        attempt().then(
          (value) => {
            if (value === undefined) return false;
            this.#remove(key, wait);
            resolve(value);
            return true;
          },
          (fault: unknown) => {
            this.#remove(key, wait);
            reject(fault);
            return true;
          },
        ),
    };
    this.#add(key, wait);
    try {
      return await within(context, promise);
    } finally {
      this.#remove(key, wait);
    }
  }

  /** Something has become of the key. */
  wake(key: string): void {
    if (this.#waiting === 0) return;
    const queue = this.#queues.get(key);
    if (!queue) return;
    queue.isWoken = true;
    void this.#try(queue);
  }

  #add(key: string, wait: Wait): void {
    const queue = this.#queues.get(key) ?? { waits: new Set(), isTrying: false, isWoken: false };
    queue.waits.add(wait);
    this.#queues.set(key, queue);
    this.#waiting++;
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#scheduleRound();
  }

  /** At once where it has got something, so that it does not try again. Idempotent. */
  #remove(key: string, wait: Wait): void {
    const queue = this.#queues.get(key);
    if (!queue?.waits.delete(wait)) return;
    this.#waiting--;
    if (queue.waits.size === 0) this.#queues.delete(key);
  }

  #scheduleRound(): void {
    const { clock, periodMs } = this.#parts;
    clock.after(periodMs, () => void this.#round());
  }

  /** The next one begins once all of this one have an answer: where Redis is slow they do not pile up. */
  async #round(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => this.#try(queue)));
    this.#isRunning = this.#queues.size > 0;
    if (this.#isRunning) this.#scheduleRound();
  }

  async #try(queue: Queue): Promise<void> {
    if (queue.isTrying) return;
    queue.isTrying = true;
    do {
      queue.isWoken = false;
      await tryInTurn([...queue.waits]);
    } while (queue.isWoken && queue.waits.size > 0);
    queue.isTrying = false;
  }
}

/** Until one of them gets nothing. */
async function tryInTurn([first, ...others]: readonly Wait[]): Promise<void> {
  if (!first || !(await first.attempt())) return;
  for (let start = 0; start < others.length; start += BATCH) {
    const got = await Promise.all(others.slice(start, start + BATCH).map((wait) => wait.attempt()));
    if (got.includes(false)) return;
  }
}
