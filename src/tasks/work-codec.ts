import { encoded, flag, list, type MessageOf, message, nested, optionalUint, text, uint } from "../base/message.ts";
import { registeredTask } from "./task-codec.ts";

/** Tasks that one worker may name. */
const MAX_WORKER_TASKS = 1000;

/** `gearmesh.v1.WorkerHello`. */
export const workerHello = message({
  worker: text(1),
  tasks: list(2, registeredTask, MAX_WORKER_TASKS),
  credit: uint(3),
});
export type WorkerHello = MessageOf<typeof workerHello>;

/** `gearmesh.v1.TaskProgress`, and TaskCompleted. */
export const taskOutcome = message({ id: text(1), fence: uint(2), payload: encoded(3) });
export type TaskOutcome = MessageOf<typeof taskOutcome>;

/** `gearmesh.v1.TaskFailed`. */
export const taskFailed = message({ id: text(1), fence: uint(2), error: text(3), final: flag(4) });
export type TaskFailed = MessageOf<typeof taskFailed>;

/** `gearmesh.v1.TaskReleased`. */
export const taskReleased = message({ id: text(1), fence: uint(2) });

/** `gearmesh.v1.WorkRequest`: exactly one field is set. */
export const workRequest = message({
  hello: nested(1, workerHello),
  credit: optionalUint(2),
  heartbeat: encoded(3),
  progress: nested(4, taskOutcome),
  complete: nested(5, taskOutcome),
  fail: nested(6, taskFailed),
  release: nested(7, taskReleased),
});
export type WorkRequest = MessageOf<typeof workRequest>;

/** `gearmesh.v1.TaskToWork`. */
export const taskToWork = message({
  id: text(1),
  name: text(2),
  queue: text(3),
  args: encoded(4),
  fence: uint(5),
  attemptsMade: uint(6),
  attempts: uint(7),
  enqueuedAtMs: uint(8),
  timeoutMs: uint(9),
});
export type TaskToWork = MessageOf<typeof taskToWork>;

/** `gearmesh.v1.TaskSettled`. */
export const taskSettled = message({ id: text(1), fence: uint(2), code: text(3), error: text(4) });
export type TaskSettled = MessageOf<typeof taskSettled>;

/** `gearmesh.v1.WorkResponse`: exactly one field is set. */
export const workResponse = message({
  welcome: nested(1, message({ workerId: text(1), node: text(2), heartbeatMs: uint(3) })),
  task: nested(2, taskToWork),
  settled: nested(3, taskSettled),
  cancel: nested(4, message({ id: text(1), fence: uint(2), reason: text(3) })),
  goAway: nested(5, message({ reason: text(1) })),
});
export type WorkResponse = MessageOf<typeof workResponse>;

/** One of the fields alone. */
export function workEvent<Codec extends object>(
  codec: { encode(value: Codec): Buffer },
  event: Partial<Codec>,
): Buffer {
  return codec.encode(event as Codec);
}
