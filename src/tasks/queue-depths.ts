import type { Clock } from "../base/clock.ts";
import { coalesce } from "../base/coalesce.ts";
import type { QueueTable } from "./queue-table.ts";
import { DEFAULT_QUEUE } from "./task-id.ts";
import type { TaskFailed } from "./task-ports.ts";
import type { TaskPartition, TaskState } from "./task-store.ts";

/** How often queues are measured. It costs Redis some 20 us for each partition. Unit: ms. */
const PERIOD_MS = 5000;

/** What queues are measured by: those that completed are kept for a while and wait for nothing. */
const DEPTH_STATES = ["waiting", "delayed", "active", "failed"] as const satisfies readonly TaskState[];
export type QueueDepth = Readonly<Record<(typeof DEPTH_STATES)[number], number>>;

/** All queues that the operator has not named. */
export const OTHER_QUEUES = "_OTHER";

const EMPTY: QueueDepth = { waiting: 0, delayed: 0, active: 0, failed: 0 };

export interface QueueDepthsParts {
  readonly store: { partition(id: string): Pick<TaskPartition, "counts"> };
  readonly queues: Pick<QueueTable, "names" | "ownPartitions">;
  /** Queues that the operator has named. */
  readonly order: readonly string[];
  readonly isActive: () => boolean;
  readonly clock: Clock;
  readonly failed: TaskFailed;
}

/**
 * How many tasks are in the queues' partitions on this node's own shard: over all nodes each task counts once. Queues have names that clients choose, so
 * only those that the operator has named, and the default one, are told apart.
 */
export class QueueDepths {
  readonly #parts: QueueDepthsParts;
  readonly #named: ReadonlySet<string>;
  readonly #measure: () => Promise<void>;
  #current: ReadonlyMap<string, QueueDepth> = new Map();
  #stop: (() => void) | undefined;

  constructor(parts: QueueDepthsParts) {
    this.#parts = parts;
    this.#named = new Set([DEFAULT_QUEUE, ...parts.order]);
    this.#measure = coalesce(() => this.#measureAll());
  }

  /** By the queue's name, as measured last; nothing while this node stands by, or cannot reach its Redis. */
  get current(): ReadonlyMap<string, QueueDepth> {
    return this.#current;
  }

  start(): void {
    this.#stop = this.#parts.clock.every(PERIOD_MS, () => void this.#measure());
  }

  stop(): void {
    this.#stop?.();
  }

  async #measureAll(): Promise<void> {
    const { store, queues, isActive, failed } = this.#parts;
    const depths = new Map<string, QueueDepth>([...this.#named, OTHER_QUEUES].map((name) => [name, EMPTY]));
    try {
      for (const queue of isActive() ? queues.names() : []) {
        const name = this.#named.has(queue) ? queue : OTHER_QUEUES;
        for (const id of queues.ownPartitions(queue)) {
          const counts = await store.partition(id).counts();
          const before = depths.get(name) ?? EMPTY;
          const added = DEPTH_STATES.map((state) => [state, before[state] + counts[state]] as const);
          depths.set(name, Object.fromEntries(added) as QueueDepth);
        }
      }
      this.#current = isActive() ? depths : new Map();
    } catch (cause) {
      this.#current = new Map();
      failed("the lengths of queues could not be read", cause);
    }
  }
}
