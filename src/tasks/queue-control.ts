import { Fault } from "../base/fault.ts";
import { MAX_PARTITIONS, type QueueTable } from "./queue-table.ts";
import type { QueueDescription, QueueOptions } from "./task-codec.ts";
import { checkQueue } from "./task-id.ts";
import type { TaskPartition, TaskState, TaskStore } from "./task-store.ts";

/** Tasks that are deleted before it is looked again. */
const PAGE = 500;
const MAX_RATE_MS = 24 * 60 * 60 * 1000;

export interface QueueControlParts {
  readonly store: TaskStore;
  readonly queues: QueueTable;
  readonly refresh: () => Promise<void>;
  /** See TaskNode. */
  readonly refreshEverywhere: () => Promise<void>;
  /** Told of each queue that may be worked again. */
  readonly enqueued: (queue: string) => void;
}

/** Configures, pauses, describes and deletes queues. */
export class QueueControl {
  readonly #parts: QueueControlParts;

  constructor(parts: QueueControlParts) {
    this.#parts = parts;
  }

  /** Rejects with INVALID_ARGUMENT. */
  async configure(queue: string, options: QueueOptions | undefined): Promise<void> {
    checkQueue(queue);
    const { store, queues, refresh, refreshEverywhere } = this.#parts;
    const { partitions = 1, rateLimit = 0, rateLimitMs = 0 } = options ?? {};
    const count = partitions === 0 ? 1 : partitions;
    check(count <= MAX_PARTITIONS, `a queue has 1 to ${MAX_PARTITIONS} partitions`);
    check(rateLimit === 0 || rateLimit >= count, "the rate limit is at least one task for each partition");
    check((rateLimit === 0) === (rateLimitMs === 0), "rate_limit and rate_limit_ms go together");
    check(rateLimitMs <= MAX_RATE_MS, `rate_limit_ms is ${MAX_RATE_MS} at most`);
    await refresh();
    const spread = queues.spread(queue, count);
    const isPaused = await this.#isPaused(queue);
    await store.catalogue.putQueue(queue, { ...spread, rateLimit, rateLimitMs });
    await refreshEverywhere();
    // Each of them its share.
    const rate = rateLimit === 0 ? undefined : { max: Math.floor(rateLimit / count), perMs: rateLimitMs };
    await this.#each(queue, async (partition) => {
      await partition.limit(rate);
      if (isPaused) await partition.pause(true);
    });
  }

  /** Rejects with UNKNOWN_QUEUE. */
  async pause(queue: string, isPaused: boolean): Promise<void> {
    await this.#known(queue);
    await this.#each(queue, (partition) => partition.pause(isPaused));
    if (!isPaused) this.#parts.enqueued(queue);
  }

  /** Rejects with UNKNOWN_QUEUE; resolves with how many tasks were deleted. */
  async delete(queue: string): Promise<number> {
    await this.#known(queue);
    let count = 0;
    for (const state of ["waiting", "delayed", "failed", "completed"] as const) {
      const deleted = await this.#each(queue, (partition) => removeAll(partition, state));
      if (state !== "completed") count += deleted.reduce((sum, each) => sum + each, 0);
    }
    await this.#each(queue, (partition) => partition.pause(false));
    await this.#parts.store.catalogue.removeQueue(queue);
    await this.#parts.refreshEverywhere();
    return count;
  }

  async describe(): Promise<readonly QueueDescription[]> {
    return Promise.all(this.#parts.queues.names().map((queue) => this.#describe(queue)));
  }

  async #describe(queue: string): Promise<QueueDescription> {
    const counts = await this.#each(queue, (partition) => partition.counts());
    const sum = (state: TaskState): number => counts.reduce((total, count) => total + count[state], 0);
    const { partitions, rateLimit, rateLimitMs } = this.#parts.queues.record(queue);
    return {
      queue,
      length: sum("waiting"),
      delayed: sum("delayed"),
      active: sum("active"),
      failed: sum("failed"),
      completed: sum("completed"),
      paused: await this.#isPaused(queue),
      options: { partitions: partitions.length, rateLimit, rateLimitMs },
    };
  }

  async #isPaused(queue: string): Promise<boolean> {
    return (await this.#each(queue, (partition) => partition.isPaused())).some((isPaused) => isPaused);
  }

  async #known(queue: string): Promise<void> {
    checkQueue(queue);
    await this.#parts.refresh();
    this.#parts.queues.assertKnown(queue);
  }

  #each<T>(queue: string, act: (partition: TaskPartition) => Promise<T>): Promise<T[]> {
    const { store, queues } = this.#parts;
    return Promise.all(queues.partitions(queue).map((id) => act(store.partition(id))));
  }
}

/** Resolves with how many there were that nobody was at work on. */
async function removeAll(partition: TaskPartition, state: TaskState): Promise<number> {
  let count = 0;
  for (;;) {
    const page = await partition.list(state, 0, PAGE);
    let removed = 0;
    for (const { key } of page) if (await partition.remove(key)) removed++;
    count += removed;
    if (removed === 0) return count;
  }
}

function check(holds: boolean, text: string): void {
  if (!holds) throw new Fault("INVALID_ARGUMENT", text);
}
