import { Buffer } from "node:buffer";
import { Fault } from "../base/fault.ts";
import type { QueueTable } from "./queue-table.ts";
import { MAX_BULK, MAX_LISTED, type TaskDescription, type TaskFilter } from "./task-codec.ts";
import { checkQueue, parseTaskId, queueOf, taskId } from "./task-id.ts";
import { type StoredTask, TASK_STATES, type TaskPartition, type TaskState, type TaskStore } from "./task-store.ts";

/** Tasks that one request reads of a partition at a time. */
const PAGE = 500;

export interface TaskQueriesParts {
  readonly store: TaskStore;
  readonly queues: QueueTable;
  readonly refresh: () => Promise<void>;
  /** Told of each queue that got a task again. */
  readonly enqueued: (queue: string) => void;
}

interface Found {
  readonly partition: TaskPartition;
  readonly task: StoredTask;
}

/** Looks at tasks, deletes and retries them. */
export class TaskQueries {
  readonly #parts: TaskQueriesParts;

  constructor(parts: TaskQueriesParts) {
    this.#parts = parts;
  }

  /** Rejects with UNKNOWN_QUEUE or INVALID_ARGUMENT. */
  async list(filter: TaskFilter | undefined, start: number, count: number): Promise<readonly TaskDescription[]> {
    const state = stateOf(filter);
    const most = count === 0 ? MAX_LISTED : Math.min(count, MAX_LISTED);
    const found = await this.#find(filter, state, start + most);
    const described = found.map(({ partition, task }) => describe(partition, task, state));
    return described.sort(orderOf(state)).slice(start, start + most);
  }

  /** Resolves with how many there were, and when those that were delayed were due. */
  async delete(
    filter: TaskFilter | undefined,
    start: number,
    count: number,
  ): Promise<{ readonly count: number; readonly dueAtMs: readonly number[] }> {
    const state = stateOf(filter);
    if (state === "active") throw new Fault("INVALID_ARGUMENT", "a task that is being worked cannot be deleted");
    const most = count === 0 ? Number.MAX_SAFE_INTEGER : count;
    const dueAtMs: number[] = [];
    let deleted = 0;
    for (const { partition, task } of (await this.#find(filter, state, start + most)).slice(start)) {
      if (deleted >= most || !(await partition.remove(task.key))) continue;
      deleted++;
      if (state === "delayed" && dueAtMs.length < MAX_BULK) dueAtMs.push(dueAt(task));
    }
    return { count: deleted, dueAtMs: dueAtMs.sort((a, b) => a - b) };
  }

  /** Resolves with how many there were. */
  async retry(filter: TaskFilter | undefined, count: number): Promise<number> {
    const most = count === 0 ? Number.MAX_SAFE_INTEGER : count;
    const queues = new Set<string>();
    let retried = 0;
    for (const { partition, task } of await this.#find(filter, "failed", most)) {
      if (!(await partition.retry(task))) continue;
      retried++;
      queues.add(queueOf(partition.id));
    }
    for (const queue of queues) this.#parts.enqueued(queue);
    return retried;
  }

  /** Rejects with UNKNOWN_TASK. */
  async describe(id: string): Promise<TaskDescription> {
    const { partition, key } = parseTaskId(id);
    const found = await this.#parts.store.partition(partition).find(key);
    if (!found) throw new Fault("UNKNOWN_TASK", "there is no such task, or it ended and is not kept any more");
    return describe(this.#parts.store.partition(partition), found.task, found.state);
  }

  async #find(filter: TaskFilter | undefined, state: TaskState, most: number): Promise<readonly Found[]> {
    const found: Found[] = [];
    for (const partition of await this.#partitions(filter)) {
      for (let start = 0; found.length < most; start += PAGE) {
        const page = await partition.list(state, start, PAGE);
        for (const task of page) if (matches(filter, partition, task)) found.push({ partition, task });
        if (page.length < PAGE) break;
      }
    }
    return found.slice(0, most);
  }

  async #partitions(filter: TaskFilter | undefined): Promise<readonly TaskPartition[]> {
    const { queues, store, refresh } = this.#parts;
    if (filter && filter.id !== "") return [store.partition(parseTaskId(filter.id).partition)];
    const queue = filter?.queue ?? "";
    if (queue !== "") {
      checkQueue(queue);
      if (!queues.isKnown(queue)) await refresh();
      queues.assertKnown(queue);
    }
    const names = queue === "" ? queues.names() : [queue];
    return names.flatMap((name) => queues.partitions(name).map((id) => store.partition(id)));
  }
}

function stateOf(filter: TaskFilter | undefined): TaskState {
  const state = filter?.state || "waiting";
  const known = TASK_STATES.find((each) => each === state);
  if (!known) throw new Fault("INVALID_ARGUMENT", `the state of a task is one of ${TASK_STATES.join(", ")}`);
  return known;
}

function matches(filter: TaskFilter | undefined, partition: TaskPartition, task: StoredTask): boolean {
  if (!filter) return true;
  if (filter.id !== "" && filter.id !== taskId(partition.id, task.key)) return false;
  if (filter.name !== "" && filter.name !== task.name) return false;
  if (filter.args && !Buffer.from(filter.args).equals(task.args ?? Buffer.alloc(0))) return false;
  return filter.atMs === 0 || Math.floor(filter.atMs / 1000) === Math.floor(dueAt(task) / 1000);
}

function dueAt({ enqueuedAtMs, delayMs }: StoredTask): number {
  return enqueuedAtMs + delayMs;
}

function orderOf(state: TaskState): (a: TaskDescription, b: TaskDescription) => number {
  if (state === "delayed") return (a, b) => a.dueAtMs - b.dueAtMs;
  if (state === "failed" || state === "completed") return (a, b) => b.finishedAtMs - a.finishedAtMs;
  // As the queues have them.
  return () => 0;
}

function describe(partition: TaskPartition, task: StoredTask, state: TaskState): TaskDescription {
  const { key, delayMs, backoffMs: _backoffMs, refusal: _refusal, ...known } = task;
  return {
    ...known,
    id: taskId(partition.id, key),
    queue: queueOf(partition.id),
    state,
    dueAtMs: state === "delayed" ? known.enqueuedAtMs + delayMs : 0,
  };
}
