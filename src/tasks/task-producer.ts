import { type BackoffLimits, backoffMs } from "../base/backoff.ts";
import type { CallContext } from "../base/call-context.ts";
import { remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { checkPayload, payloadOf } from "../base/json-payload.ts";
import { runAfterEnqueue, runBeforeEnqueue } from "./middleware.ts";
import type { QueueTable } from "./queue-table.ts";
import { DUPLICATES, type EnqueueOutcome, type EnqueueRequest, type RegisteredTask } from "./task-codec.ts";
import { checkQueue, keyMaker, keyOfSender, sameSecondId, taskId } from "./task-id.ts";
import type { TaskFunctions, TaskObserver } from "./task-ports.ts";
import { isImmediate, type NewTask, type TaskPartition, type TaskStore } from "./task-store.ts";
import type { TaskTable } from "./task-table.ts";

export interface TaskProducerParts {
  readonly store: TaskStore;
  readonly table: TaskTable;
  readonly queues: QueueTable;
  readonly functions: TaskFunctions;
  /** Whether it is known which tasks and middleware libraries have: before that nobody can say that there is no such task, or that none refuses it. */
  readonly isLevel: () => boolean;
  /** Resolves once it is. Rejects with UNAVAILABLE where it cannot be. */
  readonly levelled: () => Promise<void>;
  /** Reads what all nodes know of tasks anew. */
  readonly refresh: () => Promise<void>;
  /** Told of each queue that got something. */
  readonly enqueued: (queue: string) => void;
  readonly observer: TaskObserver;
  /** Largest arguments. Unit: bytes. */
  readonly maxTaskBytes: number;
  /** Tasks on their way to Redis at a time. */
  readonly maxAdding: number;
  /** Starts every key: the process's own. */
  readonly origin: string;
}

/** Word for word as those who move here know it. */
const DUPLICATE = "Job already enqueued at this time with same arguments";
const RETRY: BackoffLimits = { initialMs: 20, maxMs: 500 };
/** Of the caller's time, left for its answer. Unit: ms. */
const ANSWER_MS = 50;
const MAX_PRIORITY = 2_097_151;
const MAX_DELAY_MS = 10 * 366 * 24 * 60 * 60 * 1000;
const MAX_ID_BYTES = 256;
const MAX_ATTEMPTS = 1000;
const NULL = payloadOf(null);

/** What may keep a task from being enqueued at once. */
const STAGES = ["before_enqueue", "after_enqueue"] as const;

export type Enqueued = Pick<EnqueueOutcome, "id" | "suppressed">;

interface Plan {
  readonly queue: string;
  readonly due: Due;
  readonly key: string;
  readonly partition: TaskPartition;
  readonly id: string;
}

/** One that is on its way to Redis, together with others. */
interface BegunNow extends Pick<Plan, "id" | "queue" | "partition"> {
  readonly task: NewTask;
  readonly added: Promise<void>;
}

/** Enqueues tasks. Nothing is written before everything about a task is known to be right. */
export class TaskProducer {
  readonly #parts: TaskProducerParts;
  readonly #nextKey: () => string;
  #adding = 0;
  #isClosed = false;

  constructor(parts: TaskProducerParts) {
    this.#parts = parts;
    this.#nextKey = keyMaker(parts.origin);
  }

  /** Takes no more. */
  close(): void {
    this.#isClosed = true;
  }

  /** Rejects as TaskService.Enqueue says. */
  async enqueue(request: EnqueueRequest, context: CallContext): Promise<Enqueued> {
    const { functions, observer, enqueued } = this.#parts;
    this.#admit();
    this.#adding++;
    try {
      await this.#parts.levelled();
      const registered = this.#parts.table.find(request.name) ?? (await this.#unknown(request.name));
      if (request.queue !== "") await this.#assertQueue(request.queue);
      const plan = this.#plan(request, registered);
      const { id, queue, partition, key } = plan;
      const info = () => payloadOf({ id, name: request.name, queue, at: plan.due.atMs });
      const args = await this.#before(request, info, context);
      const task = newTask(request, registered, { ...plan, args });
      const there = await this.#insist(() => partition.add(task), context);
      if (there !== key) {
        if (request.duplicates !== DUPLICATES.suppress) throw new Fault("DUPLICATE_TASK", DUPLICATE);
        return { id: taskId(partition.id, there), suppressed: true };
      }
      observer.enqueued(1);
      enqueued(queue);
      await runAfterEnqueue(functions, request.name, args ?? NULL, info(), context);
      return { id, suppressed: false };
    } finally {
      this.#adding--;
    }
  }

  /** Each of them as `enqueue` does; those that need wait for nothing go to Redis together, at a fraction of the cost. Never rejects. */
  async enqueueAll(requests: readonly EnqueueRequest[], context: CallContext): Promise<readonly (Enqueued | Fault)[]> {
    const begun = requests.map((request) => {
      try {
        return this.#beginNow(request) ?? settled(this.enqueue(request, context));
      } catch (thrown) {
        return Fault.from(thrown);
      }
    });
    const together = begun.filter((each) => "added" in each);
    const faults = await faultsOf(new Set(together.map(({ added }) => added)));
    this.#adding -= together.length;
    const added = together.filter((each) => !faults.has(each.added));
    this.#parts.observer.enqueued(added.length);
    for (const queue of new Set(added.map((each) => each.queue))) this.#parts.enqueued(queue);
    const outcomes: (Enqueued | Fault)[] = [];
    for (const each of begun) {
      if (!("added" in each)) outcomes.push(await each);
      else if (!faults.has(each.added)) outcomes.push({ id: each.id, suppressed: false });
      else outcomes.push(await settled(this.#addAgain(each, faults.get(each.added), context)));
    }
    return outcomes;
  }

  /** Undefined: something has to be waited for first, or it is not immediate. Throws as `enqueue` rejects. */
  #beginNow(request: EnqueueRequest): BegunNow | undefined {
    const { table, queues, functions, isLevel } = this.#parts;
    const { name, queue, args } = request;
    if (!isLevel()) return undefined;
    const registered = table.find(name);
    if (!registered || (queue !== "" && !queues.isKnown(queue))) return undefined;
    if (STAGES.some((stage) => functions.middleware(stage, name).length > 0)) return undefined;
    this.#admit();
    const plan = this.#plan(request, registered);
    const task = newTask(request, registered, { ...plan, args });
    if (!isImmediate(task)) return undefined;
    const { partition } = plan;
    this.#adding++;
    return { id: plan.id, queue: plan.queue, partition, task, added: partition.addNow(task) };
  }

  async #addAgain(
    { partition, task, id }: BegunNow,
    fault: Fault | undefined,
    context: CallContext,
  ): Promise<Enqueued> {
    await this.#insist(() => partition.add(task), context, fault);
    return { id, suppressed: false };
  }

  /** Throws what keeps another task from being enqueued. */
  #admit(): void {
    const { maxAdding } = this.#parts;
    if (this.#isClosed) throw new Fault("UNAVAILABLE", "the coordinator is shutting down");
    if (this.#adding < maxAdding) return;
    throw new Fault("RESOURCE_EXHAUSTED", `${maxAdding} tasks are on their way to Redis already; try again`);
  }

  /** Where a task goes, and as which, once everything about it is known to be right. Throws INVALID_ARGUMENT. */
  #plan(request: EnqueueRequest, registered: RegisteredTask): Plan {
    const { queues, store } = this.#parts;
    const queue = request.queue === "" ? registered.queue : request.queue;
    const due = dueOf(request);
    this.#check(request);
    const key = request.id === "" ? this.#nextKey() : keyOfSender(request.id);
    const partition = store.partition(queues.partitionFor(queue, partitionKey(request, due)));
    return { queue, due, key, partition, id: taskId(partition.id, key) };
  }

  /** Some other node may know it already. */
  async #unknown(name: string): Promise<RegisteredTask> {
    await this.#parts.refresh();
    const found = this.#parts.table.find(name);
    if (found) return found;
    throw new Fault(
      "UNKNOWN_TASK",
      `there is no task ${name.slice(0, 128)}: a library or a worker has to register it first`,
    );
  }

  async #assertQueue(queue: string): Promise<void> {
    checkQueue(queue);
    if (this.#parts.queues.isKnown(queue)) return;
    await this.#parts.refresh();
    this.#parts.queues.assertKnown(queue);
  }

  #check(request: EnqueueRequest): void {
    const { maxTaskBytes } = this.#parts;
    const { args, priority, deduplicationId, attempts, duplicates } = request;
    if (args) {
      if (args.length > maxTaskBytes) {
        throw new Fault(
          "INVALID_ARGUMENT",
          `the arguments take ${args.length} bytes, more than maxTaskBytes (${maxTaskBytes})`,
        );
      }
      checkPayload(args);
    }
    check(priority <= MAX_PRIORITY, `the priority is 0 to ${MAX_PRIORITY}`);
    check(attempts <= MAX_ATTEMPTS, `attempts are 1 to ${MAX_ATTEMPTS}`);
    check(request.backoffMs <= MAX_DELAY_MS, `backoff_ms is 0 to ${MAX_DELAY_MS}`);
    check(Buffer.byteLength(deduplicationId) <= MAX_ID_BYTES, `the deduplication id has ${MAX_ID_BYTES} bytes at most`);
    check(duplicates <= DUPLICATES.allow, "there is no such duplicate policy");
    const isExcluded = duplicates === DUPLICATES.allow && deduplicationId !== "";
    check(!isExcluded, "duplicates cannot be allowed where a deduplication id is given");
  }

  async #before(
    { name, args }: EnqueueRequest,
    info: () => Uint8Array,
    context: CallContext,
  ): Promise<Uint8Array | undefined> {
    const { functions } = this.#parts;
    if (functions.middleware("before_enqueue", name).length === 0) return args;
    return runBeforeEnqueue(functions, name, args ?? NULL, info(), context);
  }

  /** Where an answer was lost the same task is added again, which adds nothing where it was. `before`: what came of it already. */
  async #insist(add: () => Promise<string>, context: CallContext, before?: Fault): Promise<string> {
    let lost: Fault | undefined;
    for (let attempt = 0; ; attempt++) {
      try {
        if (attempt === 0 && before) throw before;
        return await add();
      } catch (thrown) {
        const fault = Fault.from(thrown);
        if (fault.code === "INDETERMINATE") lost = fault;
        if (fault.code !== "INDETERMINATE" && (fault.code !== "UNAVAILABLE" || isRefused(fault))) throw lost ?? fault;
        const waitMs = backoffMs(attempt, RETRY);
        if (context.signal.aborted || remainingMs(context.deadline) < waitMs + ANSWER_MS) throw lost ?? fault;
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    }
  }
}

/** Why each of those failed that did. */
async function faultsOf(promises: ReadonlySet<Promise<void>>): Promise<ReadonlyMap<Promise<void>, Fault>> {
  const faults = new Map<Promise<void>, Fault>();
  const noted = [...promises].map((each) => each.catch((thrown: unknown) => faults.set(each, Fault.from(thrown))));
  await Promise.all(noted);
  return faults;
}

async function settled<T>(outcome: Promise<T>): Promise<T | Fault> {
  try {
    return await outcome;
  } catch (thrown) {
    return Fault.from(thrown);
  }
}

/** Redis was there and said no: it is full, or takes no writes. */
function isRefused({ message }: Fault): boolean {
  return message.includes(" refused: ");
}

interface Due {
  /** 0: now. */
  readonly delayMs: number;
  /** Since the Unix epoch. */
  readonly atMs: number;
}

/** Throws INVALID_ARGUMENT for a time that is none. */
function dueOf({ delayMs, atMs }: EnqueueRequest): Due {
  const now = Date.now();
  check(delayMs === 0 || atMs === 0, "a delay and a time are both given: leave one out");
  for (const [name, value] of [
    ["delay_ms", delayMs],
    ["at_ms", atMs],
  ] as const) {
    check(Number.isSafeInteger(value) && value >= 0, `${name} is ${value}: it must be a whole number of ms, 0 or more`);
  }
  const waitMs = atMs === 0 ? delayMs : Math.max(0, atMs - now);
  check(waitMs <= MAX_DELAY_MS, `a task can be delayed by ${MAX_DELAY_MS} ms at most`);
  return { delayMs: waitMs, atMs: atMs === 0 ? now + delayMs : atMs };
}

/** What has to meet in one partition does. */
function partitionKey(
  { partitionKey: key, deduplicationId, id, name }: EnqueueRequest,
  { delayMs, atMs }: Due,
): string {
  if (key !== "") return key;
  if (deduplicationId !== "") return deduplicationId;
  if (id !== "") return id;
  return delayMs > 0 ? `${name}:${Math.floor(atMs / 1000)}` : "";
}

function newTask(
  request: EnqueueRequest,
  registered: RegisteredTask,
  { key, args, due }: { readonly key: string; readonly args: Uint8Array | undefined; readonly due: Due },
): NewTask {
  const { name, priority, duplicates, deduplicationId } = request;
  const looksForSame = due.delayMs > 0 && duplicates !== DUPLICATES.allow;
  return {
    key,
    name,
    args,
    enqueuedAtMs: due.delayMs > 0 ? due.atMs - due.delayMs : Date.now(),
    delayMs: due.delayMs,
    priority,
    attempts: request.attempts || registered.attempts,
    backoffMs: request.backoffMs || registered.backoffMs,
    deduplicationId:
      deduplicationId !== "" ? `id:${deduplicationId}` : looksForSame ? sameSecondId(name, args, due.atMs) : "",
  };
}

function check(holds: boolean, text: string): void {
  if (!holds) throw new Fault("INVALID_ARGUMENT", text);
}
