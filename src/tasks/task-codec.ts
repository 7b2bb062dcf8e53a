import {
  double,
  encoded,
  flag,
  list,
  type MessageOf,
  message,
  nested,
  text,
  texts,
  uint,
  uints,
} from "../base/message.ts";

/** Tasks that one EnqueueBulkRequest may hold, and that one answer may name. */
export const MAX_BULK = 10_000;
/** Tasks that one ListTasksResponse holds. */
export const MAX_LISTED = 1000;

/** `gearmesh.v1.EnqueueRequest`. */
export const enqueueRequest = message({
  name: text(1),
  args: encoded(2),
  queue: text(3),
  delayMs: double(4),
  atMs: double(5),
  priority: uint(6),
  duplicates: uint(7),
  deduplicationId: text(8),
  id: text(9),
  attempts: uint(10),
  backoffMs: uint(11),
  partitionKey: text(12),
});
export type EnqueueRequest = MessageOf<typeof enqueueRequest>;

/** `gearmesh.v1.DuplicatePolicy`. */
export const DUPLICATES = { unspecified: 0, refuse: 1, suppress: 2, allow: 3 } as const;

/** `gearmesh.v1.EnqueueResponse`. */
export const enqueueResponse = message({ id: text(1), suppressed: flag(2) });

/** `gearmesh.v1.EnqueueBulkRequest`: its tasks are encoded. */
export const enqueueBulkRequest = message({ tasks: list(1, enqueueRequest, MAX_BULK) });

/** `gearmesh.v1.EnqueueOutcome`. */
export const enqueueOutcome = message({ id: text(1), suppressed: flag(2), code: text(3), error: text(4) });
export type EnqueueOutcome = MessageOf<typeof enqueueOutcome>;

/** `gearmesh.v1.EnqueueBulkResponse`. */
export const enqueueBulkResponse = message({ outcomes: list(1, enqueueOutcome, MAX_BULK) });

/** `gearmesh.v1.TaskFilter`. */
export const taskFilter = message({
  queue: text(1),
  state: text(2),
  name: text(3),
  args: encoded(4),
  atMs: uint(5),
  id: text(6),
});
export type TaskFilter = MessageOf<typeof taskFilter>;

/** `gearmesh.v1.ListTasksRequest`, and DeleteTasksRequest. */
export const filteredRequest = message({ filter: nested(1, taskFilter), start: uint(2), count: uint(3) });

/** `gearmesh.v1.RetryTasksRequest`. */
export const retryTasksRequest = message({ filter: nested(1, taskFilter), count: uint(2) });

/** `gearmesh.v1.TaskDescription`. */
export const taskDescription = message({
  id: text(1),
  name: text(2),
  queue: text(3),
  args: encoded(4),
  state: text(5),
  priority: uint(6),
  enqueuedAtMs: uint(7),
  dueAtMs: uint(8),
  fence: uint(9),
  attemptsMade: uint(10),
  attempts: uint(11),
  worker: text(12),
  startedAtMs: uint(13),
  finishedAtMs: uint(14),
  progress: encoded(15),
  result: encoded(16),
  error: text(17),
});
export type TaskDescription = MessageOf<typeof taskDescription>;

/** `gearmesh.v1.ListTasksResponse`. */
export const listTasksResponse = message({ tasks: list(1, taskDescription, MAX_LISTED) });

/** `gearmesh.v1.DeleteTasksResponse`. */
export const deleteTasksResponse = message({ count: uint(1), dueAtMs: uints(2, MAX_BULK) });

/** Answers that are a number and nothing else: of RetryTasks, DeleteQueue and StopRecurrentTask. */
export const countResponse = message({ count: uint(1) });

/** Requests that name a task by its id and nothing else: of DescribeTask and AwaitTask. */
export const taskIdRequest = message({ id: text(1) });

/** `gearmesh.v1.DescribeTaskResponse`. */
export const describeTaskResponse = message({ task: nested(1, taskDescription) });

/** `gearmesh.v1.AwaitTaskResponse`: exactly one field is set. */
export const awaitTaskResponse = message({ progress: encoded(1), result: encoded(2) });

/** `gearmesh.v1.QueueOptions`. */
export const queueOptions = message({ partitions: uint(1), rateLimit: uint(2), rateLimitMs: uint(3) });
export type QueueOptions = MessageOf<typeof queueOptions>;

/** `gearmesh.v1.QueueDescription`. */
export const queueDescription = message({
  queue: text(1),
  length: uint(2),
  delayed: uint(3),
  active: uint(4),
  failed: uint(5),
  completed: uint(6),
  paused: flag(7),
  options: nested(8, queueOptions),
});
export type QueueDescription = MessageOf<typeof queueDescription>;

/** `gearmesh.v1.WorkerDescription`. */
export const workerDescription = message({ id: text(1), tasks: texts(2), holding: uint(3), credit: uint(4) });
export type WorkerDescription = MessageOf<typeof workerDescription>;

/** `gearmesh.v1.NodeWorkers`. */
export const nodeWorkers = message({
  node: text(1),
  busy: uint(2),
  size: uint(3),
  max: uint(4),
  workers: list(5, workerDescription),
  seenAtMs: uint(6),
});
export type NodeWorkers = MessageOf<typeof nodeWorkers>;

/** `gearmesh.v1.TaskStats`. */
export const taskStats = message({ processed: uint(1), failed: uint(2) });

/** `gearmesh.v1.RegisteredTask`. */
export const registeredTask = message({
  name: text(1),
  queue: text(2),
  frequencyMs: uint(3),
  cron: text(4),
  timeZone: text(5),
  attempts: uint(6),
  backoffMs: uint(7),
  timeoutMs: uint(8),
  external: flag(9),
});
export type RegisteredTask = MessageOf<typeof registeredTask>;

/** `gearmesh.v1.DescribeTasksResponse`. */
export const describeTasksResponse = message({
  queues: list(1, queueDescription),
  workers: list(2, nodeWorkers),
  stats: nested(3, taskStats),
  leader: text(4),
  tasks: list(5, registeredTask),
});

/** `gearmesh.v1.ConfigureQueueRequest`. */
export const configureQueueRequest = message({ queue: text(1), options: nested(2, queueOptions) });

/** Requests that name a queue and nothing else: of PauseQueue, ResumeQueue and DeleteQueue. */
export const queueRequest = message({ queue: text(1) });

/** `gearmesh.v1.EnqueueRecurrentTaskRequest`. */
export const enqueueRecurrentRequest = message({
  name: text(1),
  frequencyMs: uint(2),
  cron: text(3),
  timeZone: text(4),
  args: encoded(5),
});

/** `gearmesh.v1.EnqueueRecurrentTaskResponse`. */
export const enqueueRecurrentResponse = message({ nextAtMs: uint(1) });

/** `gearmesh.v1.EnqueueAllRecurrentTasksResponse`, and CleanOldWorkersResponse. */
export const namesResponse = message({ names: texts(1) });

/** `gearmesh.v1.StopRecurrentTaskRequest`. */
export const taskNameRequest = message({ name: text(1) });

/** `gearmesh.v1.CleanOldWorkersRequest`. */
export const cleanOldWorkersRequest = message({ ageMs: uint(1) });
