import type { CallContext } from "../base/call-context.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import { checkPayload } from "../base/json-payload.ts";
import {
  cleanOldWorkersRequest,
  configureQueueRequest,
  countResponse,
  deleteTasksResponse,
  describeTaskResponse,
  describeTasksResponse,
  type EnqueueOutcome,
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
} from "./task-codec.ts";
import type { TaskNode } from "./task-node.ts";
import type { Enqueued } from "./task-producer.ts";
import type { NodeRecord, TaskCatalogue } from "./task-store.ts";

/** Takes an encoded request and resolves with the encoded response. Rejects with a Fault. */
export type TaskHandler = (body: Uint8Array, context: CallContext) => Promise<Uint8Array>;

export interface TaskRequestsParts {
  readonly node: Pick<TaskNode, "producer" | "queries" | "control" | "recurrences" | "catalogue" | "table">;
  readonly catalogue: TaskCatalogue;
  /** Largest task arguments of a filter. Unit: bytes. */
  readonly leader: () => string;
}

/** A unary method of TaskService. */
export type TaskMethod = keyof ReturnType<typeof taskRequests>;

/** Tasks of one bulk that are on their way at a time. */
const BULK_WINDOW = 512;

/** Those methods. */
export function taskRequests({ node, catalogue: store, leader }: TaskRequestsParts) {
  const { producer, queries, control, recurrences, catalogue, table } = node;
  const queueIn = (body: Uint8Array): string => decodeRequest(queueRequest.decode, body).queue;
  const pause =
    (isPaused: boolean): TaskHandler =>
    async (body) => {
      await control.pause(queueIn(body), isPaused);
      return new Uint8Array();
    };
  return {
    Enqueue: async (body, context) =>
      enqueueResponse.encode(await producer.enqueue(decodeRequest(enqueueRequest.decode, body), context)),
    EnqueueBulk: async (body, context) => {
      const { tasks } = decodeRequest(enqueueBulkRequest.decode, body);
      const outcomes: EnqueueOutcome[] = [];
      // In order, and no more at a time than the way to Redis takes.
      for (let start = 0; start < tasks.length; start += BULK_WINDOW) {
        const window = await producer.enqueueAll(tasks.slice(start, start + BULK_WINDOW), context);
        for (const each of window) outcomes.push(outcomeOf(each));
      }
      return enqueueBulkResponse.encode({ outcomes });
    },
    ListTasks: async (body) => {
      const { filter, start, count } = decodeRequest(filteredRequest.decode, body);
      return listTasksResponse.encode({ tasks: await queries.list(filter, start, count) });
    },
    DeleteTasks: async (body) => {
      const { filter, start, count } = decodeRequest(filteredRequest.decode, body);
      return deleteTasksResponse.encode(await queries.delete(filter, start, count));
    },
    RetryTasks: async (body) => {
      const { filter, count } = decodeRequest(retryTasksRequest.decode, body);
      return countResponse.encode({ count: await queries.retry(filter, count) });
    },
    DescribeTask: async (body) => {
      const { id } = decodeRequest(taskIdRequest.decode, body);
      return describeTaskResponse.encode({ task: await queries.describe(id) });
    },
    DescribeTasks: async () => {
      await catalogue.refresh();
      const nodes = [...catalogue.view.nodes.values()];
      return describeTasksResponse.encode({
        queues: await control.describe(),
        workers: nodes,
        stats: { processed: total(nodes, "processed"), failed: total(nodes, "failed") },
        leader: leader(),
        tasks: table.all(),
      });
    },
    ConfigureQueue: async (body) => {
      const { queue, options } = decodeRequest(configureQueueRequest.decode, body);
      await control.configure(queue, options);
      return new Uint8Array();
    },
    PauseQueue: pause(true),
    ResumeQueue: pause(false),
    DeleteQueue: async (body) => countResponse.encode({ count: await control.delete(queueIn(body)) }),
    EnqueueRecurrentTask: async (body) => {
      const { name, args, ...when } = decodeRequest(enqueueRecurrentRequest.decode, body);
      if (args) checkPayload(args);
      return enqueueRecurrentResponse.encode({ nextAtMs: await recurrences.begin(name, { ...when, args }) });
    },
    EnqueueAllRecurrentTasks: async () => namesResponse.encode({ names: await recurrences.beginAll() }),
    StopRecurrentTask: async (body) => {
      const { name } = decodeRequest(taskNameRequest.decode, body);
      return countResponse.encode({ count: await recurrences.end(name) });
    },
    CleanOldWorkers: async (body) => {
      const { ageMs } = decodeRequest(cleanOldWorkersRequest.decode, body);
      await catalogue.refresh();
      const { nodes, atMs } = catalogue.view;
      const old = [...nodes].filter(([, { seenAtMs }]) => atMs - seenAtMs >= ageMs);
      for (const [runId] of old) await store.forgetNode(runId);
      return namesResponse.encode({ names: old.map(([, { node: name }]) => name) });
    },
  } satisfies Record<string, TaskHandler>;
}

function outcomeOf(each: Enqueued | Fault): EnqueueOutcome {
  if (!(each instanceof Fault)) return { ...each, code: "", error: "" };
  return { id: "", suppressed: false, code: each.code, error: each.message };
}

function total(nodes: readonly NodeRecord[], what: "processed" | "failed"): number {
  return nodes.reduce((sum, node) => sum + node[what], 0);
}
