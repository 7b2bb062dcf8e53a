import type { Clock } from "../base/clock.ts";
import type { Attempt } from "./attempt.ts";
import type { TaskFailed } from "./task-ports.ts";
import type { TaskPartition } from "./task-store.ts";

/** Holds that are renewed by one request. */
const BATCH = 512;

export interface HeldTasksParts {
  readonly clock: Clock;
  /** How long a hold lasts without renewal. Unit: ms. */
  readonly leaseMs: number;
  readonly failed: TaskFailed;
}

/** The tasks that this node holds: it renews each hold three times per lease. */
export class HeldTasks {
  readonly #parts: HeldTasksParts;
  readonly #held = new Map<TaskPartition, Set<Attempt>>();
  #count = 0;
  #stop: (() => void) | undefined;
  #emptied: (() => void)[] = [];

  constructor(parts: HeldTasksParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#count;
  }

  start(): void {
    const { clock, leaseMs } = this.#parts;
    this.#stop = clock.every(leaseMs / 3, () => this.#renew());
  }

  stop(): void {
    this.#stop?.();
  }

  add(attempt: Attempt): void {
    const held = this.#held.get(attempt.partition) ?? new Set();
    this.#held.set(attempt.partition, held.add(attempt));
    this.#count++;
  }

  delete(attempt: Attempt): void {
    const held = this.#held.get(attempt.partition);
    if (!held?.delete(attempt)) return;
    if (held.size === 0) this.#held.delete(attempt.partition);
    if (--this.#count === 0) for (const tell of this.#emptied.splice(0)) tell();
  }

  /** Whether a task of the partition is held by this token. */
  has(partition: TaskPartition, key: string, token: string): boolean {
    for (const { task, token: own } of this.#held.get(partition) ?? []) {
      if (task.key === key && own === token) return true;
    }
    return false;
  }

  /** Tells everyone who is at work that it is to no purpose. */
  abortAll(): void {
    for (const held of this.#held.values()) for (const attempt of held) attempt.abort();
  }

  /** Resolves once none is held any more. */
  whenEmpty(): Promise<void> {
    return this.#count === 0 ? Promise.resolve() : new Promise((resolve) => this.#emptied.push(resolve));
  }

  #renew(): void {
    for (const [partition, held] of this.#held) {
      const attempts = [...held];
      for (let start = 0; start < attempts.length; start += BATCH) {
        void this.#renewBatch(partition, attempts.slice(start, start + BATCH));
      }
    }
  }

  /** Where Redis is away the holds may be over, or not: what is worked goes on, and its fencing number says which attempt it was. */
  async #renewBatch(partition: TaskPartition, attempts: readonly Attempt[]): Promise<void> {
    try {
      const over = new Set(await partition.renew(attempts.map(({ task: { key }, token }) => ({ key, token }))));
      // Those that ended meanwhile are no longer held, either.
      for (const attempt of attempts) {
        if (over.has(attempt.task.key) && this.#held.get(partition)?.has(attempt)) attempt.abort();
      }
    } catch (cause) {
      this.#parts.failed("the hold on tasks could not be renewed", cause);
    }
  }
}
