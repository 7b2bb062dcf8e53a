import type { RegisteredTask } from "./task-codec.ts";

/** A task as it is given to its queue. Its payloads are encoded. */
export interface NewTask {
  /** Within its partition. */
  readonly key: string;
  readonly name: string;
  readonly args: Uint8Array | undefined;
  readonly enqueuedAtMs: number;
  /** 0: now. Unit: ms. */
  readonly delayMs: number;
  /** 0: none. */
  readonly priority: number;
  readonly attempts: number;
  readonly backoffMs: number;
  /** "": none. */
  readonly deduplicationId: string;
}

/** Whether it goes straight into its queue's list: those do that have nothing to wait for and nothing to be compared with. */
export function isImmediate({ delayMs, priority, deduplicationId }: NewTask): boolean {
  return delayMs === 0 && priority === 0 && deduplicationId === "";
}

/** A task as its queue has it. */
export interface StoredTask {
  readonly key: string;
  readonly name: string;
  readonly args: Uint8Array | undefined;
  readonly priority: number;
  readonly enqueuedAtMs: number;
  /** What is left of it when it is enqueued, or retried. Unit: ms. */
  readonly delayMs: number;
  /** How often it has begun. */
  readonly fence: number;
  /** How often it has ended, well or not. */
  readonly attemptsMade: number;
  readonly attempts: number;
  readonly backoffMs: number;
  readonly worker: string;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  readonly progress: Uint8Array | undefined;
  readonly result: Uint8Array | undefined;
  readonly error: string;
  /** It may not be worked any more: it ended so many workers. */
  readonly refusal: string | undefined;
}

export const TASK_STATES = ["waiting", "delayed", "active", "failed", "completed"] as const;
export type TaskState = (typeof TASK_STATES)[number];

/** What came of asking for a task. */
export interface Taken {
  readonly task: StoredTask | undefined;
  /** Nothing may begin for as long. Unit: ms. */
  readonly limitedMs: number;
  /** When the next delayed task is due; 0: there is none, or not known. Since the Unix epoch. Unit: ms. */
  readonly nextAtMs: number;
}

/** Who holds a task: the token is of one attempt. */
export interface Hold {
  readonly key: string;
  readonly token: string;
}

export type TaskCounts = Readonly<Record<TaskState, number>>;

/**
 * One partition of a queue: all of it is in one slot, so that each of these is done whole or not at all. They reject with UNAVAILABLE where nothing was done, and with
 * INDETERMINATE where that is unknown; those that name a hold with TASK_NOT_HELD where it is over, and those that name a task with UNKNOWN_TASK where there is none.
 */
export interface TaskPartition {
  /** `<queue>.<number>`. */
  readonly id: string;
  /** Resolves with the key of the task that is there now: another one's where it is a duplicate. A task of the same key is the same one. */
  add(task: NewTask): Promise<string>;
  /** As `add`, for one that is immediate. Those of one turn go together, and have one promise. */
  addNow(task: NewTask): Promise<void>;
  take(token: string): Promise<Taken>;
  /** `takeNext`: the next task of the partition comes with the answer, held by the same token. */
  complete(task: StoredTask, token: string, result: Uint8Array, takeNext: boolean): Promise<Taken | undefined>;
  /** `retryInMs`: it is tried again after as long; undefined: never. */
  fail(task: StoredTask, token: string, error: string, retryInMs: number | undefined): Promise<void>;
  /** Takes the fencing number of an attempt back that nobody began, for as long as it is held: the next attempt has it. */
  unbegin(hold: Hold): Promise<void>;
  /** To the front of the queue, as if it had not been taken, but for its fencing number. */
  handBack(hold: Hold): Promise<void>;
  /** As `handBack`, for a while. */
  park(hold: Hold, ms: number): Promise<void>;
  /** Keeps holds for another lease; resolves with the keys of those that are over. */
  renew(holds: readonly Hold[]): Promise<readonly string[]>;
  /** Puts tasks back whose lease is over; resolves with their keys. */
  recover(): Promise<readonly string[]>;
  /** Keys of those that a token holds: where an answer was lost, there may be one that nobody knows of. */
  heldBy(token: string): Promise<readonly string[]>;
  progress(key: string, progress: Uint8Array): Promise<void>;
  find(key: string): Promise<{ readonly task: StoredTask; readonly state: TaskState } | undefined>;
  /** As they will be worked; finished ones the newest first. */
  list(state: TaskState, start: number, count: number): Promise<readonly StoredTask[]>;
  counts(): Promise<TaskCounts>;
  /** Whether there was one that nobody was at work on. */
  remove(key: string): Promise<boolean>;
  /** A failed one, with all its attempts ahead of it. Whether there was one. */
  retry(task: StoredTask): Promise<boolean>;
  pause(isPaused: boolean): Promise<void>;
  isPaused(): Promise<boolean>;
  /** How many may begin in which time; undefined: as many as there are. */
  limit(rate: { readonly max: number; readonly perMs: number } | undefined): Promise<void>;
}

/** What is kept of a queue that was configured. */
export interface QueueRecord {
  /** Numbers of the partitions that tasks are enqueued to. */
  readonly partitions: readonly number[];
  /** Of those that were given up, and are only drained. */
  readonly retired: readonly number[];
  readonly rateLimit: number;
  readonly rateLimitMs: number;
}

/** When a task recurs. */
export interface Recurrence {
  /** 0: by cron. Unit: ms. */
  readonly frequencyMs: number;
  readonly cron: string;
  readonly timeZone: string;
  /** Of each run: an encoded payload. */
  readonly args: Uint8Array | undefined;
  /** Told to stop, whatever the task's library says. */
  readonly isStopped: boolean;
}

/** What a node tells of itself. */
export interface NodeRecord {
  readonly node: string;
  readonly busy: number;
  readonly size: number;
  readonly max: number;
  readonly processed: number;
  readonly failed: number;
  readonly workers: readonly {
    readonly id: string;
    readonly tasks: readonly string[];
    readonly holding: number;
    readonly credit: number;
  }[];
  /** By Redis' clock. Unit: ms. */
  readonly seenAtMs: number;
}

/** What all nodes know of tasks. */
export interface CatalogueView {
  readonly queues: ReadonlyMap<string, QueueRecord>;
  /** Tasks of external workers. */
  readonly tasks: ReadonlyMap<string, RegisteredTask>;
  readonly recurrences: ReadonlyMap<string, Recurrence>;
  /** By run id. */
  readonly nodes: ReadonlyMap<string, NodeRecord>;
  /** Redis' clock when it was read. Unit: ms. */
  readonly atMs: number;
}

/** Where that is kept. Rejects as TaskPartition does. */
export interface TaskCatalogue {
  read(): Promise<CatalogueView>;
  putQueue(queue: string, record: QueueRecord): Promise<void>;
  removeQueue(queue: string): Promise<void>;
  putTasks(tasks: readonly RegisteredTask[]): Promise<void>;
  putRecurrence(task: string, recurrence: Recurrence): Promise<void>;
  removeRecurrence(task: string): Promise<void>;
  announce(runId: string, record: Omit<NodeRecord, "seenAtMs">): Promise<void>;
  forgetNode(runId: string): Promise<void>;
}

/** Tasks as Redis keeps them. */
export interface TaskStore {
  readonly catalogue: TaskCatalogue;
  partition(id: string): TaskPartition;
}
