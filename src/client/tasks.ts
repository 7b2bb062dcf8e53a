import { Fault, isFaultCode } from "../base/fault.ts";
import { type JsonValue, payloadOf, payloadValue } from "../base/json-payload.ts";
import type { Definitions } from "../grpc/definitions.ts";
import {
  awaitTaskResponse,
  cleanOldWorkersRequest,
  configureQueueRequest,
  countResponse,
  DUPLICATES,
  deleteTasksResponse,
  describeTaskResponse,
  describeTasksResponse,
  type TaskDescription as EncodedDescription,
  type TaskFilter as EncodedFilter,
  type EnqueueRequest,
  enqueueBulkRequest,
  enqueueBulkResponse,
  enqueueRecurrentRequest,
  enqueueRecurrentResponse,
  enqueueRequest,
  enqueueResponse,
  filteredRequest,
  listTasksResponse,
  namesResponse,
  queueRequest,
  retryTasksRequest,
  taskIdRequest,
  taskNameRequest,
} from "../tasks/task-codec.ts";
import type { TaskMethod } from "../tasks/task-requests.ts";
import type { TaskState } from "../tasks/task-store.ts";
import type { Coordinators } from "./coordinators.ts";
import { passedThrough, type RpcOptions } from "./rpc-channel.ts";
import { type TaskHandlers, TaskWorker, type WorkerOptions } from "./task-worker.ts";

/** How a task is enqueued. */
export interface EnqueueOptions {
  /** Default: the queue that the task was registered for. */
  readonly queue?: string;
  /** 1 is worked first; without one before those that have one, in the order of arrival. */
  readonly priority?: number;
  /** How often it may fail, the first time included. Default: as it was registered. */
  readonly attempts?: number;
  /** From its first failure to the next attempt; it doubles with each. Default: as it was registered. Unit: ms. */
  readonly backoffMs?: number;
  /** What becomes of a delayed task of the same name, second and arguments, or of one with the same deduplication id. Default: refuse. */
  readonly duplicates?: "refuse" | "suppress" | "allow";
  /** While a task with this id is enqueued or worked in the queue, another one is a duplicate. */
  readonly deduplicationId?: string;
  /** Your own id of up to 64 letters, digits, _ and -: the same task sent again is not enqueued twice. */
  readonly id?: string;
  /** In a queue with partitions: tasks with the same key are in the same one, and in order. */
  readonly partitionKey?: string;
}

/** A task of several. */
export interface TaskToEnqueue extends EnqueueOptions {
  readonly name: string;
  readonly args?: unknown;
  /** Unit: ms. */
  readonly delayMs?: number;
  readonly at?: Date | number;
}

export interface EnqueuedTask {
  /** Names the task everywhere. */
  readonly id: string;
  /** It was there already. */
  readonly suppressed: boolean;
}

/** What became of one of several. */
export type BulkOutcome = EnqueuedTask | Fault;

/** Which tasks. */
export interface TaskFilter {
  readonly queue?: string;
  readonly state?: TaskState;
  readonly name?: string;
  /** Those with these arguments. */
  readonly args?: unknown;
  /** Delayed ones that are due in this second. */
  readonly at?: Date | number;
  readonly id?: string;
}

export interface TaskPage {
  /** How many are passed over. */
  readonly start?: number;
  readonly count?: number;
}

/** One task. Times are in ms since the Unix epoch; 0: not yet. */
export interface TaskDescription extends Omit<EncodedDescription, "args" | "progress" | "result" | "state"> {
  readonly state: TaskState;
  readonly args: JsonValue | Uint8Array;
  /** Undefined: it has told none. */
  readonly progress: JsonValue | Uint8Array | undefined;
  readonly result: JsonValue | Uint8Array | undefined;
}

/** What is new of a task. */
export type TaskEvent =
  | { readonly kind: "progress"; readonly progress: JsonValue | Uint8Array }
  /** The last one. */
  | { readonly kind: "result"; readonly result: JsonValue | Uint8Array };

export interface QueueOptions {
  /** Default: 1. */
  readonly partitions?: number;
  /** Tasks that may begin within `rateLimitMs`. Default: as many as there are. */
  readonly rateLimit?: number;
  readonly rateLimitMs?: number;
}

export interface RecurrentOptions {
  /** Unit: ms. */
  readonly frequencyMs?: number;
  readonly cron?: string;
  /** Of the cron line. Default: UTC. */
  readonly timeZone?: string;
  readonly args?: unknown;
}

export interface TasksParts {
  readonly coordinators: Coordinators;
  readonly definitions: Definitions;
  /** For calls that name no other. Unit: ms. */
  readonly timeoutMs: number;
}

/** Tasks: enqueued now or for later, and worked by a library's function or by a worker, on any node. Every method rejects with a Fault. */
export class Tasks {
  readonly #parts: TasksParts;

  constructor(parts: TasksParts) {
    this.#parts = parts;
  }

  /** `args`: bytes as they are, anything else as JSON. */
  async enqueue(name: string, args?: unknown, options: EnqueueOptions & RpcOptions = {}): Promise<EnqueuedTask> {
    return this.#enqueue({ name, args, ...options }, options);
  }

  enqueueAt(
    at: Date | number,
    name: string,
    args?: unknown,
    options: EnqueueOptions & RpcOptions = {},
  ): Promise<EnqueuedTask> {
    return this.#enqueue({ name, args, at, ...options }, options);
  }

  /** Unit of the delay: ms. */
  enqueueIn(
    delayMs: number,
    name: string,
    args?: unknown,
    options: EnqueueOptions & RpcOptions = {},
  ): Promise<EnqueuedTask> {
    return this.#enqueue({ name, args, delayMs, ...options }, options);
  }

  /** Each of them by itself is enqueued or not. */
  async enqueueBulk(tasks: readonly TaskToEnqueue[], options: RpcOptions = {}): Promise<readonly BulkOutcome[]> {
    return decodeBulk(await this.#unary("EnqueueBulk", encodeBulk(tasks), options));
  }

  /** 1000 at most. */
  async list(filter: TaskFilter & TaskPage & RpcOptions = {}): Promise<readonly TaskDescription[]> {
    return listTasksResponse.decode(await this.#filtered("ListTasks", filter)).tasks.map(describedTask);
  }

  /** Resolves with how many were deleted, and when those that were delayed were due. Unit: ms since the Unix epoch. */
  async delete(
    filter: TaskFilter & TaskPage & RpcOptions,
  ): Promise<{ readonly count: number; readonly dueAtMs: readonly number[] }> {
    return deleteTasksResponse.decode(await this.#filtered("DeleteTasks", filter));
  }

  /** Failed ones go back into their queues; resolves with how many. */
  async retry(filter: Omit<TaskFilter, "state"> & { readonly count?: number } & RpcOptions = {}): Promise<number> {
    const body = retryTasksRequest.encode({ filter: encodedFilter(filter), count: filter.count ?? 0 });
    return countResponse.decode(await this.#unary("RetryTasks", body, filter)).count;
  }

  async describe(id: string, options: RpcOptions = {}): Promise<TaskDescription> {
    const { task } = describeTaskResponse.decode(
      await this.#unary("DescribeTask", taskIdRequest.encode({ id }), options),
    );
    if (!task) throw new Fault("INTERNAL", "the coordinator sent a malformed answer");
    return describedTask(task);
  }

  /** Each change of its progress, and its result at the end. Throws TASK_FAILED where its last attempt failed. */
  async *watch(id: string, options: RpcOptions = {}): AsyncGenerator<TaskEvent, void, undefined> {
    const { coordinators, definitions } = this.#parts;
    const method = passedThrough(definitions.tasks.AwaitTask.path);
    for await (const event of coordinators.watch(method, taskIdRequest.encode({ id }), options)) {
      const { progress, result } = awaitTaskResponse.decode(event);
      if (progress) yield { kind: "progress", progress: payloadValue(progress) };
      else if (result) yield { kind: "result", result: payloadValue(result) };
    }
  }

  /** What it comes to. Rejects with TASK_FAILED where its last attempt failed. */
  async result(id: string, options: RpcOptions = {}): Promise<JsonValue | Uint8Array> {
    for await (const event of this.watch(id, options)) if (event.kind === "result") return event.result;
    throw new Fault("CANCELLED", "the caller cancelled");
  }

  /** Queues, workers and counts. */
  async details(options: RpcOptions = {}) {
    const details = describeTasksResponse.decode(await this.#unary("DescribeTasks", new Uint8Array(), options));
    return { ...details, queues: Object.fromEntries(details.queues.map((queue) => [queue.queue, queue])) };
  }

  async configureQueue(
    queue: string,
    { partitions = 1, rateLimit = 0, rateLimitMs = 0 }: QueueOptions = {},
  ): Promise<void> {
    const body = configureQueueRequest.encode({ queue, options: { partitions, rateLimit, rateLimitMs } });
    await this.#unary("ConfigureQueue", body, {});
  }

  async pauseQueue(queue: string): Promise<void> {
    await this.#unary("PauseQueue", queueRequest.encode({ queue }), {});
  }

  async resumeQueue(queue: string): Promise<void> {
    await this.#unary("ResumeQueue", queueRequest.encode({ queue }), {});
  }

  /** Resolves with how many tasks were deleted with it. */
  async deleteQueue(queue: string): Promise<number> {
    return countResponse.decode(await this.#unary("DeleteQueue", queueRequest.encode({ queue }), {})).count;
  }

  /** Resolves with when it runs next. */
  async enqueueRecurrentTask(name: string, options: RecurrentOptions = {}): Promise<Date> {
    const { frequencyMs = 0, cron = "", timeZone = "", args } = options;
    if (!Number.isSafeInteger(frequencyMs) || frequencyMs < 0) {
      throw new Fault("INVALID_ARGUMENT", `frequencyMs is ${frequencyMs}: it must be a whole number of ms, 1 or more`);
    }
    const body = enqueueRecurrentRequest.encode({ name, frequencyMs, cron, timeZone, args: encodedArgs(args) });
    const { nextAtMs } = enqueueRecurrentResponse.decode(await this.#unary("EnqueueRecurrentTask", body, {}));
    return new Date(nextAtMs);
  }

  /** Resolves with the names of all tasks whose libraries say when they recur. */
  async enqueueAllRecurrentTasks(): Promise<readonly string[]> {
    return namesResponse.decode(await this.#unary("EnqueueAllRecurrentTasks", new Uint8Array(), {})).names;
  }

  /** Resolves with how many enqueued runs were deleted. */
  async stopRecurrentTask(name: string): Promise<number> {
    return countResponse.decode(await this.#unary("StopRecurrentTask", taskNameRequest.encode({ name }), {})).count;
  }

  /** Resolves with the names of the nodes that were forgotten. Unit: ms. */
  async cleanOldWorkers(ageMs: number): Promise<readonly string[]> {
    return namesResponse.decode(await this.#unary("CleanOldWorkers", cleanOldWorkersRequest.encode({ ageMs }), {}))
      .names;
  }

  /** Works tasks here, from now on until it is closed. Its stream is opened again where it is lost. */
  work(handlers: TaskHandlers, options: WorkerOptions = {}): TaskWorker {
    const { coordinators, definitions } = this.#parts;
    return new TaskWorker({ coordinators, path: definitions.tasks.Work.path, handlers, options });
  }

  async #enqueue(task: TaskToEnqueue, options: RpcOptions): Promise<EnqueuedTask> {
    return enqueueResponse.decode(await this.#unary("Enqueue", encodeEnqueue(task), options));
  }

  #filtered(method: "ListTasks" | "DeleteTasks", filter: TaskFilter & TaskPage & RpcOptions): Promise<Buffer> {
    const { start = 0, count = 0 } = filter;
    return this.#unary(method, filteredRequest.encode({ filter: encodedFilter(filter), start, count }), filter);
  }

  #unary(method: TaskMethod, body: Uint8Array, { timeoutMs, signal }: RpcOptions): Promise<Buffer> {
    const { coordinators, definitions, timeoutMs: otherwiseMs } = this.#parts;
    const options: RpcOptions = { timeoutMs: timeoutMs ?? otherwiseMs, ...(signal && { signal }) };
    return coordinators.unary(passedThrough(definitions.tasks[method].path), Buffer.from(body), options);
  }
}

/** The encoded EnqueueRequest. Throws INVALID_ARGUMENT. */
export function encodeEnqueue(task: TaskToEnqueue): Buffer {
  return enqueueRequest.encode(enqueueMessage(task));
}

/** The encoded EnqueueBulkRequest. Throws INVALID_ARGUMENT. */
export function encodeBulk(tasks: readonly TaskToEnqueue[]): Buffer {
  return enqueueBulkRequest.encode({ tasks: tasks.map(enqueueMessage) });
}

export function decodeBulk(response: Uint8Array): readonly BulkOutcome[] {
  return enqueueBulkResponse.decode(response).outcomes.map(({ id, suppressed, code, error }) => {
    if (code === "") return { id, suppressed };
    return new Fault(isFaultCode(code) ? code : "INTERNAL", error);
  });
}

function enqueueMessage({ name, args, delayMs = 0, at = 0, ...options }: TaskToEnqueue): EnqueueRequest {
  return {
    name,
    args: encodedArgs(args),
    queue: options.queue ?? "",
    delayMs: Number(delayMs),
    atMs: Number(at),
    priority: options.priority ?? 0,
    duplicates: options.duplicates === undefined ? DUPLICATES.unspecified : DUPLICATES[options.duplicates],
    deduplicationId: options.deduplicationId ?? "",
    id: options.id ?? "",
    attempts: options.attempts ?? 0,
    backoffMs: options.backoffMs ?? 0,
    partitionKey: options.partitionKey ?? "",
  };
}

function encodedArgs(args: unknown): Uint8Array | undefined {
  return args === undefined ? undefined : payloadOf(args);
}

function encodedFilter({ queue = "", state, name = "", args, at = 0, id = "" }: TaskFilter): EncodedFilter {
  return { queue, state: state ?? "", name, args: encodedArgs(args), atMs: Number(at), id };
}

function describedTask({ args, progress, result, state, ...others }: EncodedDescription): TaskDescription {
  const shown = (payload: Uint8Array | undefined) => payload && payloadValue(payload);
  return {
    ...others,
    state: state as TaskState,
    args: shown(args) ?? null,
    progress: shown(progress),
    result: shown(result),
  };
}
