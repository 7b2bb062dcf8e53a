import { type BackoffLimits, backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import type { Attempt } from "./attempt.ts";
import type { HeldTasks } from "./held-tasks.ts";
import type { TaskFailed } from "./task-ports.ts";
import type { Taken, TaskPartition } from "./task-store.ts";

const RETRY: BackoffLimits = { initialMs: 50, maxMs: 1000 };
/** Longest time from one attempt of a task to the next. Unit: ms. */
const MAX_BACKOFF_MS = 24 * 60 * 60 * 1000;

export interface SettlementParts {
  readonly held: HeldTasks;
  readonly clock: Clock;
  readonly failed: TaskFailed;
}

/**
 * Writes down what came of attempts, however long Redis is away: what was done is not to be done again. Where an answer was lost, the same is said again, and whoever no longer holds the task then had been
 * heard the first time.
 */
export class Settlement {
  readonly #parts: SettlementParts;
  #isClosed = false;

  constructor(parts: SettlementParts) {
    this.#parts = parts;
  }

  /** What is not written down by now never is: the tasks are worked again once their leases are over. */
  close(): void {
    this.#isClosed = true;
  }

  /** Resolves with the next task, or without one, where `takeNext`. Rejects with TASK_NOT_HELD. */
  async complete(
    { partition, task, token }: Attempt,
    result: Uint8Array,
    takeNext: boolean,
  ): Promise<Taken | undefined> {
    let isFirst = true;
    return this.#insist(() => {
      const takes = takeNext && isFirst;
      isFirst = false;
      return partition.complete(task, token, result, takes).catch((fault: unknown) => {
        if (takes) void this.reclaim(partition, token);
        throw fault;
      });
    });
  }

  /** Rejects with TASK_NOT_HELD. */
  async fail({ partition, task, token }: Attempt, error: string, isFinal: boolean): Promise<void> {
    const isLast = isFinal || task.attemptsMade + 1 >= task.attempts;
    const waitMs = Math.min(MAX_BACKOFF_MS, task.backoffMs * 2 ** Math.min(task.attemptsMade, 40));
    await this.#insist(() => partition.fail(task, token, error, isLast ? undefined : waitMs));
  }

  /** To the front of its queue, or into it after a while. `isBegun`: somebody may have seen its fencing number. Rejects with TASK_NOT_HELD. */
  async handBack({ partition, task: { key }, token }: Attempt, delayMs: number, isBegun: boolean): Promise<void> {
    const hold = { key, token };
    // Once, whatever comes of it: taken back twice, it would be lower than one that was seen.
    if (!isBegun) await partition.unbegin(hold).catch(() => undefined);
    await this.#insist(() => (delayMs > 0 ? partition.park(hold, delayMs) : partition.handBack(hold)));
  }

  /** Hands back what a token holds that nobody knows of, because the answer that said so was lost. */
  async reclaim(partition: TaskPartition, token: string): Promise<void> {
    try {
      const keys = (await this.#insist(() => partition.heldBy(token))) ?? [];
      for (const key of keys) {
        if (this.#parts.held.has(partition, key, token)) continue;
        await this.#insist(() => partition.handBack({ key, token }));
      }
    } catch (cause) {
      this.#parts.failed("a task that was taken for nobody is handed back once its lease is over", cause);
    }
  }

  /** Undefined: it was done, and what came of it is lost. */
  async #insist<T>(act: () => Promise<T>): Promise<T | undefined> {
    let mayBeDone = false;
    for (let attempt = 0; ; attempt++) {
      try {
        return await act();
      } catch (thrown) {
        const fault = Fault.from(thrown);
        if (fault.code === "TASK_NOT_HELD" && mayBeDone) return undefined;
        const isTriedAgain = fault.code === "UNAVAILABLE" || fault.code === "INDETERMINATE";
        if (!isTriedAgain && fault.code !== "RESOURCE_EXHAUSTED") throw fault;
        if (this.#isClosed) throw fault;
        mayBeDone ||= fault.code === "INDETERMINATE";
        this.#parts.failed("what became of a task could not be written down", fault);
        await new Promise<void>((resolve) => this.#parts.clock.after(backoffMs(attempt, RETRY), resolve));
      }
    }
  }
}
