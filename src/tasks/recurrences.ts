import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import type { QueueTable } from "./queue-table.ts";
import type { RegisteredTask } from "./task-codec.ts";
import { parseTaskId } from "./task-id.ts";
import type { NextCron, TaskFailed } from "./task-ports.ts";
import type { CatalogueView, Recurrence, TaskPartition, TaskStore } from "./task-store.ts";
import type { TaskTable } from "./task-table.ts";

/** How often it is looked whether each recurrent task has its next run enqueued. Unit: ms. */
const LOOK_PERIOD_MS = 500;

export interface RecurrencesParts {
  readonly store: TaskStore;
  readonly table: TaskTable;
  readonly queues: QueueTable;
  readonly view: () => CatalogueView;
  readonly refresh: () => Promise<void>;
  /** Makes sure that libraries' tasks are known. Rejects with UNAVAILABLE where they cannot be. */
  readonly levelled: () => Promise<void>;
  readonly nextCron: NextCron;
  readonly clock: Clock;
  /** Told of each queue that got a run. */
  readonly enqueued: (queue: string) => void;
  /** Whether this node looks after them: one that stands by does not. */
  readonly isActive: () => boolean;
  readonly failed: TaskFailed;
}

/** After as long every node knows what was told to one. Unit: ms. */
const STALE_VIEW_MS = 1500;

/** Of the key of each run: `r-<when it is due>-<name>`. */
const KEY_START = "r-";

/**
 * Recurrent tasks. Every node looks after all of them and enqueues each one's next run; which of them does, or whether several do at once, is all the same: a run's key is made of its task and its time, and a further run is a duplicate for as
 * long as one is enqueued or worked. So there is nobody whose death would end a task, and no run is there twice.
 */
export class Recurrences {
  readonly #parts: RecurrencesParts;
  /** When the last run is due that this node knows to be enqueued, by task. */
  readonly #known = new Map<string, number>();
  #stop: (() => void) | undefined;

  constructor(parts: RecurrencesParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#stop = this.#parts.clock.every(LOOK_PERIOD_MS, () => this.#look());
  }

  stop(): void {
    this.#stop?.();
  }

  /** A task has ended here. */
  ended(taskId: string): void {
    const { key } = parseTaskId(taskId);
    const name = nameIn(key);
    if (name === undefined) return;
    this.#known.delete(name);
    const recurrence = this.#recurrenceOf(name);
    if (recurrence) void this.#enqueueNext(name, recurrence);
  }

  /** Throws INVALID_ARGUMENT or UNKNOWN_TASK; resolves with when it runs next. */
  async begin(name: string, given: Pick<Recurrence, "frequencyMs" | "cron" | "timeZone" | "args">): Promise<number> {
    const task = await this.#taskOf(name);
    const { nextCron, store, refresh } = this.#parts;
    const isGiven = given.frequencyMs > 0 || given.cron !== "";
    const when = isGiven ? given : { ...task, args: given.args };
    if (given.frequencyMs > 0 && given.cron !== "") {
      throw new Fault("INVALID_ARGUMENT", "a frequency and a cron line are both given: leave one out");
    }
    const { frequencyMs, cron, args } = when;
    if (frequencyMs === 0 && cron === "") {
      throw new Fault("INVALID_ARGUMENT", `task ${name} is registered without a frequency or a cron line: give one`);
    }
    const recurrence: Recurrence = { frequencyMs, cron, timeZone: when.timeZone || "UTC", args, isStopped: false };
    if (cron !== "") nextCron(cron, recurrence.timeZone, Date.now());
    await store.catalogue.putRecurrence(name, recurrence);
    await this.#removeEnqueued(name);
    await refresh();
    return this.#enqueueNext(name, recurrence);
  }

  /** Begins every task again whose library says when it recurs; resolves with their names. */
  async beginAll(): Promise<readonly string[]> {
    const { table, store, refresh } = this.#parts;
    const tasks = table.all().filter(recurs);
    for (const { name } of tasks) await store.catalogue.removeRecurrence(name);
    await refresh();
    for (const task of tasks) await this.#enqueueNext(task.name, { ...task, args: undefined, isStopped: false });
    return tasks.map(({ name }) => name);
  }

  /** Throws UNKNOWN_TASK; resolves with how many enqueued runs were deleted. */
  async end(name: string): Promise<number> {
    const { store, refresh } = this.#parts;
    const task = await this.#taskOf(name);
    const before = this.#recurrenceOf(name) ?? { ...task, args: undefined };
    await store.catalogue.putRecurrence(name, { ...before, isStopped: true });
    await refresh();
    // Nodes that do not know of it yet may enqueue one more meanwhile.
    this.#parts.clock.after(STALE_VIEW_MS, () => void this.#removeEnqueued(name).catch(() => undefined));
    return this.#removeEnqueued(name);
  }

  async #taskOf(name: string): Promise<RegisteredTask> {
    if (!this.#parts.table.find(name)) {
      await this.#parts.levelled();
      await this.#parts.refresh();
    }
    const task = this.#parts.table.find(name);
    if (!task) throw new Fault("UNKNOWN_TASK", `there is no task ${name.slice(0, 128)}`);
    return task;
  }

  /** What was begun counts before what its library says. */
  #recurrenceOf(name: string): Recurrence | undefined {
    const { view, table } = this.#parts;
    const begun = view().recurrences.get(name);
    if (begun) return begun.isStopped ? undefined : begun;
    const task = table.find(name);
    return task && recurs(task) ? { ...task, args: undefined, isStopped: false } : undefined;
  }

  #look(): void {
    const { view, table, isActive, failed } = this.#parts;
    if (!isActive()) return;
    const names = new Set([
      ...view().recurrences.keys(),
      ...table
        .all()
        .filter(recurs)
        .map(({ name }) => name),
    ]);
    for (const name of names) {
      const recurrence = this.#recurrenceOf(name);
      if (!recurrence || !table.find(name) || (this.#known.get(name) ?? 0) > Date.now()) continue;
      this.#enqueueNext(name, recurrence).catch((cause: unknown) =>
        failed("a recurrent task could not be enqueued", cause),
      );
    }
  }

  /** Resolves with when it is due. */
  async #enqueueNext(name: string, recurrence: Recurrence): Promise<number> {
    const { nextCron, enqueued, queues } = this.#parts;
    const task = await this.#taskOf(name);
    const now = Date.now();
    const { frequencyMs, cron, timeZone, args } = recurrence;
    const dueAtMs = cron === "" ? (Math.floor(now / frequencyMs) + 1) * frequencyMs : nextCron(cron, timeZone, now);
    const key = `${KEY_START}${dueAtMs}-${encodeURIComponent(name)}`;
    const there = await this.#partition(task.queue, name).add({
      key,
      name,
      args,
      enqueuedAtMs: now,
      delayMs: dueAtMs - now,
      priority: 0,
      attempts: task.attempts,
      backoffMs: task.backoffMs,
      deduplicationId: `recurrent:${name}`,
    });
    // Where another run is there already, it may end at any time.
    if (there === key) this.#known.set(name, dueAtMs);
    if (queues.isKnown(task.queue)) enqueued(task.queue);
    return dueAtMs;
  }

  /** Runs that nobody has begun. */
  async #removeEnqueued(name: string): Promise<number> {
    const task = await this.#taskOf(name);
    const partition = this.#partition(task.queue, name);
    this.#known.delete(name);
    let count = 0;
    for (const state of ["delayed", "waiting"] as const) {
      for (const { key } of await partition.list(state, 0, 1000)) {
        if (nameIn(key) === name && (await partition.remove(key))) count++;
      }
    }
    return count;
  }

  #partition(queue: string, name: string): TaskPartition {
    const { store, queues } = this.#parts;
    return store.partition(queues.partitionFor(queue, name));
  }
}

function recurs({ frequencyMs, cron }: RegisteredTask): boolean {
  return frequencyMs > 0 || cron !== "";
}

/** Of a run. */
function nameIn(key: string): string | undefined {
  if (!key.startsWith(KEY_START)) return undefined;
  return decodeURIComponent(key.slice(key.indexOf("-", KEY_START.length) + 1));
}
