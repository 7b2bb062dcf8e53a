import { Fault } from "../base/fault.ts";
import { DEFAULT_QUEUE, indexOf, partitionId } from "./task-id.ts";
import type { CatalogueView, QueueRecord } from "./task-store.ts";
import type { TaskTable } from "./task-table.ts";

/** Partitions that one queue may have. */
export const MAX_PARTITIONS = 64;

/** Of a queue that was not configured. */
const UNCONFIGURED: QueueRecord = { partitions: [0], retired: [], rateLimit: 0, rateLimitMs: 0 };

export interface QueueTableParts {
  readonly view: () => CatalogueView;
  readonly tasks: TaskTable;
  /** Queues that are drained before all others, in this order. */
  readonly order: readonly string[];
  /** Node id of the shard that a partition is on; undefined where that is not known. */
  readonly shardOf: (partition: string) => string | undefined;
  /** Node ids of all shards with slots, this node's own first. */
  readonly shards: () => readonly string[];
}

/** The queues, in which order they are drained, and where their partitions are. */
export class QueueTable {
  readonly #parts: QueueTableParts;
  #turn = 0;

  constructor(parts: QueueTableParts) {
    this.#parts = parts;
  }

  /** In the order in which they are drained. */
  names(): readonly string[] {
    const { view, tasks, order } = this.#parts;
    const others = new Set([DEFAULT_QUEUE, ...view().queues.keys(), ...tasks.all().map(({ queue }) => queue)]);
    for (const queue of order) others.delete(queue);
    return [...order, ...[...others].sort()];
  }

  isKnown(queue: string): boolean {
    const { view, tasks, order } = this.#parts;
    if (queue === DEFAULT_QUEUE || order.includes(queue) || view().queues.has(queue)) return true;
    return tasks.all().some((task) => task.queue === queue);
  }

  /** Throws UNKNOWN_QUEUE. */
  assertKnown(queue: string): void {
    if (this.isKnown(queue)) return;
    const how = "ConfigureQueue makes it known, and so does a task that is registered for it";
    throw new Fault("UNKNOWN_QUEUE", `there is no queue ${queue}: ${how}`);
  }

  record(queue: string): QueueRecord {
    return this.#parts.view().queues.get(queue) ?? UNCONFIGURED;
  }

  /** Ids of all partitions that may hold tasks, those of this node's own shard first. */
  partitions(queue: string): readonly string[] {
    const { shardOf, shards } = this.#parts;
    const { partitions, retired } = this.record(queue);
    const ids = [...partitions, ...retired].map((number) => partitionId(queue, number));
    const [own] = shards();
    return ids.length === 1 ? ids : ids.sort((a, b) => Number(shardOf(b) === own) - Number(shardOf(a) === own));
  }

  /** Those of `partitions` that are on this node's own shard. */
  ownPartitions(queue: string): readonly string[] {
    const { shardOf, shards } = this.#parts;
    const [own] = shards();
    return own === undefined ? [] : this.partitions(queue).filter((id) => shardOf(id) === own);
  }

  /** Where the next task goes: `key` says always the same; without one they take turns. */
  partitionFor(queue: string, key: string): string {
    const { partitions } = this.record(queue);
    const index = key === "" ? this.#turn++ % partitions.length : indexOf(key, partitions.length);
    return partitionId(queue, partitions[index] ?? 0);
  }

  /** Numbers of `count` partitions, spread evenly over the shards; those that are there stay. */
  spread(queue: string, count: number): Pick<QueueRecord, "partitions" | "retired"> {
    const { shardOf, shards } = this.#parts;
    const before = this.record(queue);
    const known = [...before.partitions, ...before.retired];
    const partitions = known.slice(0, count);
    const load = new Map(shards().map((shard) => [shard, 0]));
    const placed = (number: number) => shardOf(partitionId(queue, number)) ?? "";
    for (const number of partitions) load.set(placed(number), (load.get(placed(number)) ?? 0) + 1);
    for (let number = 0; partitions.length < count; number++) {
      if (known.includes(number)) continue;
      const shard = placed(number);
      const least = Math.min(...load.values());
      if ((load.get(shard) ?? 0) > least) continue;
      load.set(shard, least + 1);
      partitions.push(number);
    }
    return { partitions, retired: known.filter((number) => !partitions.includes(number)) };
  }
}
