import { type Clock, systemClock } from "../base/clock.ts";
import { CatalogueWatch } from "./catalogue-watch.ts";
import { ExternalWorkers } from "./external-workers.ts";
import { HeldTasks } from "./held-tasks.ts";
import { LibraryWork } from "./library-work.ts";
import { QueueControl } from "./queue-control.ts";
import { QueueDepths } from "./queue-depths.ts";
import { QueueRoom } from "./queue-room.ts";
import { QueueTable } from "./queue-table.ts";
import { Recurrences } from "./recurrences.ts";
import { Settlement } from "./settlement.ts";
import type { RegisteredTask } from "./task-codec.ts";
import { TaskIntake } from "./task-intake.ts";
import type { NextCron, TaskFailed, TaskFunctions, TaskObserver } from "./task-ports.ts";
import { TaskProducer } from "./task-producer.ts";
import { TaskQueries } from "./task-queries.ts";
import { TaskRecovery } from "./task-recovery.ts";
import type { TaskStore } from "./task-store.ts";
import { TaskTable } from "./task-table.ts";
import { TaskWait } from "./task-wait.ts";
import { TaskWork } from "./task-work.ts";
import { WorkerPool } from "./worker-pool.ts";

export interface TaskNodeParts {
  readonly store: TaskStore;
  readonly functions: TaskFunctions;
  readonly libraryTask: (task: string) => RegisteredTask | undefined;
  readonly libraryTasks: () => Iterable<RegisteredTask>;
  readonly runId: string;
  readonly nodeName: () => string;
  readonly isActive: () => boolean;
  /** Whether it is known which tasks and middleware libraries have. */
  readonly isLevel: () => boolean;
  /** Makes sure of that. Rejects with UNAVAILABLE where it cannot be known. */
  readonly level: () => Promise<void>;
  readonly shardOf: (partition: string) => string | undefined;
  readonly shards: () => readonly string[];
  readonly nextCron: NextCron;
  /** Tells the other nodes that a queue has more than this one works now. */
  readonly tellPeers: (queue: string) => void;
  /** Has the other nodes read anew what is known of tasks; one that cannot be reached does so within a second. Never rejects. */
  readonly refreshPeers: () => Promise<void>;
  readonly observer: TaskObserver;
  readonly failed: TaskFailed;
  readonly limits: TaskLimits;
}

export interface TaskLimits {
  readonly queueOrder: readonly string[];
  readonly minWorkers: number;
  readonly maxWorkers: number;
  /** Unit: ms. */
  readonly leaseMs: number;
  /** Unit: ms. */
  readonly recoverMs: number;
  readonly maxReruns: number;
  readonly maxTaskBytes: number;
  readonly maxAdding: number;
  readonly maxWaits: number;
  /** Longest attempt of a library's task. Unit: ms. */
  readonly timeoutMs: number;
}

/** All that one node does for tasks. */
export interface TaskNode {
  readonly catalogue: CatalogueWatch;
  readonly table: TaskTable;
  readonly queues: QueueTable;
  readonly producer: TaskProducer;
  readonly queries: TaskQueries;
  readonly control: QueueControl;
  readonly depths: QueueDepths;
  readonly recurrences: Recurrences;
  readonly wait: TaskWait;
  readonly intake: TaskIntake;
  readonly held: HeldTasks;
  readonly pool: WorkerPool;
  readonly external: ExternalWorkers;
  readonly work: TaskWork;
  /** A queue has got something. */
  readonly enqueued: (queue: string) => void;
  /** Tasks or workers have come or gone. */
  readonly rearrange: () => void;
  /** What is known of tasks has changed. Never rejects. */
  readonly refreshEverywhere: () => Promise<void>;
  start(): void;
  /** Takes no more, and resolves once what is held has ended or was handed back, `drainMs` from now at the latest. */
  close(reason: string, drainMs: number): Promise<void>;
}

/** Puts it together. Nothing runs before `start()`. */
export function createTaskNode(parts: TaskNodeParts, clock: Clock = systemClock): TaskNode {
  const { store, functions, observer, failed, limits, runId } = parts;
  const origin = runId.replaceAll("-", "").slice(0, 16);
  let isLeaving = false;
  const view = () => catalogue.view;
  const refresh = () => catalogue.refresh();
  const table = new TaskTable({ library: parts.libraryTask, libraryTasks: parts.libraryTasks, view });
  const queues = new QueueTable({ ...parts, view, tasks: table, order: limits.queueOrder });
  const pool = new WorkerPool({ min: limits.minWorkers, max: limits.maxWorkers, clock, grown: () => intake.look() });
  const external = new ExternalWorkers({ table, functions, timeoutMs: limits.timeoutMs });
  // What it takes before, a library's middleware would not be asked about, or nobody here could work.
  const worksTasks = (): boolean => parts.isActive() && parts.isLevel();
  const room = new QueueRoom({ table, pool, credit: (task) => external.credit(task), worksTasks });
  const held = new HeldTasks({ clock, leaseMs: limits.leaseMs, failed });
  const settlement = new Settlement({ held, clock, failed });
  const wait = new TaskWait(store, limits.maxWaits);
  const libraries = new LibraryWork({
    functions,
    table,
    pool,
    timeoutMs: limits.timeoutMs,
    isLeaving: () => isLeaving,
    failed,
  });
  const work = new TaskWork({
    workers: [libraries, external],
    held,
    settlement,
    observer,
    maxReruns: limits.maxReruns,
    failed,
    ended(taskId) {
      wait.ended(taskId);
      recurrences.ended(taskId);
    },
  });
  const intake = new TaskIntake({
    store,
    queues,
    work,
    settlement,
    hasRoom: (queue, taking) => room.has(queue, taking),
    saturated: parts.tellPeers,
    clock,
    origin,
    failed,
  });
  const enqueued = (queue: string): void => {
    if (!intake.wake(queue)) parts.tellPeers(queue);
  };
  const refreshEverywhere = async (): Promise<void> => {
    await Promise.allSettled([refresh(), parts.refreshPeers()]);
  };
  const rearrange = (): void => {
    room.changed();
    intake.arrange();
  };
  const catalogue = new CatalogueWatch({
    catalogue: store.catalogue,
    clock,
    changed: rearrange,
    failed: (cause) => failed("what is known of tasks could not be read", cause),
  });
  const levelled = async (): Promise<void> => {
    if (!parts.isLevel()) await parts.level();
  };
  const recurrences = new Recurrences({ ...parts, levelled, table, queues, view, refresh, clock, enqueued });
  const recovery = new TaskRecovery({ intake, observer, clock, periodMs: limits.recoverMs, enqueued, failed });
  const depths = new QueueDepths({ ...parts, queues, order: limits.queueOrder, clock });
  const producer = new TaskProducer({
    store,
    table,
    queues,
    functions,
    isLevel: parts.isLevel,
    levelled,
    refresh,
    enqueued,
    observer,
    origin,
    ...limits,
  });
  return {
    catalogue,
    table,
    queues,
    producer,
    queries: new TaskQueries({ store, queues, refresh, enqueued }),
    control: new QueueControl({ store, queues, refresh, refreshEverywhere, enqueued }),
    depths,
    recurrences,
    wait,
    intake,
    held,
    pool,
    external,
    work,
    enqueued,
    rearrange,
    refreshEverywhere,
    start() {
      for (const part of [pool, held, catalogue, recurrences, recovery, depths]) part.start();
    },
    async close(reason, drainMs) {
      isLeaving = true;
      intake.stop();
      pool.release();
      recurrences.stop();
      recovery.stop();
      external.goAway(reason);
      const { promise: isLate, resolve } = Promise.withResolvers<void>();
      const stopWaiting = clock.after(drainMs, resolve);
      await Promise.race([held.whenEmpty(), isLate]);
      stopWaiting();
      // Those that have not ended by now are handed back.
      held.abortAll();
      const stopInsisting = clock.after(HAND_BACK_MS, () => settlement.close());
      await held.whenEmpty();
      stopInsisting();
      producer.close();
      for (const part of [pool, held, catalogue, depths]) part.stop();
    },
  };
}

/** Longest that a node which leaves tries to hand back what it holds. Unit: ms. */
const HAND_BACK_MS = 2000;
