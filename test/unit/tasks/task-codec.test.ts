import { Buffer } from "node:buffer";
import test from "ava";
import fc from "fast-check";
import { encodePayload } from "../../../src/base/payload.ts";
import * as codecs from "../../../src/tasks/task-codec.ts";
import * as work from "../../../src/tasks/work-codec.ts";
import { agreesWith, foreignProto } from "../../support/agrees.ts";

const proto = foreignProto("task");
const agrees = agreesWith(proto);

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const uint32 = fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 2 ** 32 - 1 }));
const uint = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat());
/** Not -0, which is written as 0 is. */
const ms = fc.double({ noNaN: true }).map((each) => each + 0);
const payload = fc.option(
  fc.oneof(text, fc.uint8Array({ maxLength: 20 })).map((each) => encodePayload(each)),
  { nil: undefined },
);
const absent = { nil: undefined };

const toEnqueue = fc.record({
  name: text,
  args: payload,
  queue: text,
  delayMs: ms,
  atMs: ms,
  priority: uint32,
  duplicates: fc.nat({ max: 3 }),
  deduplicationId: text,
  id: text,
  attempts: uint32,
  backoffMs: uint,
  partitionKey: text,
});
agrees("EnqueueRequest", codecs.enqueueRequest, toEnqueue);
agrees("EnqueueResponse", codecs.enqueueResponse, fc.record({ id: text, suppressed: fc.boolean() }));
agrees("EnqueueBulkRequest", codecs.enqueueBulkRequest, fc.record({ tasks: fc.array(toEnqueue, { maxLength: 5 }) }));
const outcome = fc.record({ id: text, suppressed: fc.boolean(), code: text, error: text });
agrees("EnqueueBulkResponse", codecs.enqueueBulkResponse, fc.record({ outcomes: fc.array(outcome) }));

const filter = fc.option(
  fc.record({ queue: text, state: text, name: text, args: payload, atMs: uint, id: text }),
  absent,
);
for (const type of ["ListTasksRequest", "DeleteTasksRequest"]) {
  agrees(type, codecs.filteredRequest, fc.record({ filter, start: uint32, count: uint32 }));
}
agrees("RetryTasksRequest", codecs.retryTasksRequest, fc.record({ filter, count: uint32 }));
const description = fc.record({
  id: text,
  name: text,
  queue: text,
  args: payload,
  state: text,
  priority: uint32,
  enqueuedAtMs: uint,
  dueAtMs: uint,
  fence: uint,
  attemptsMade: uint32,
  attempts: uint32,
  worker: text,
  startedAtMs: uint,
  finishedAtMs: uint,
  progress: payload,
  result: payload,
  error: text,
});
agrees("ListTasksResponse", codecs.listTasksResponse, fc.record({ tasks: fc.array(description, { maxLength: 3 }) }));
agrees("DeleteTasksResponse", codecs.deleteTasksResponse, fc.record({ count: uint32, dueAtMs: fc.array(uint) }));
for (const type of ["RetryTasksResponse", "DeleteQueueResponse", "StopRecurrentTaskResponse"]) {
  agrees(type, codecs.countResponse, fc.record({ count: uint32 }));
}
for (const type of ["DescribeTaskRequest", "AwaitTaskRequest"]) {
  agrees(type, codecs.taskIdRequest, fc.record({ id: text }));
}
agrees("DescribeTaskResponse", codecs.describeTaskResponse, fc.record({ task: fc.option(description, absent) }));
const said = payload.filter((each) => each !== undefined);
agrees(
  "AwaitTaskResponse",
  codecs.awaitTaskResponse,
  fc.oneof(
    said.map((progress) => ({ progress, result: undefined })),
    said.map((result) => ({ progress: undefined, result })),
  ),
);

const options = fc.option(fc.record({ partitions: uint32, rateLimit: uint32, rateLimitMs: uint }), absent);
const registered = fc.record({
  name: text,
  queue: text,
  frequencyMs: uint,
  cron: text,
  timeZone: text,
  attempts: uint32,
  backoffMs: uint,
  timeoutMs: uint,
  external: fc.boolean(),
});
const queue = fc.record({
  queue: text,
  length: uint,
  delayed: uint,
  active: uint,
  failed: uint,
  completed: uint,
  paused: fc.boolean(),
  options,
});
const worker = fc.record({ id: text, tasks: fc.array(text), holding: uint32, credit: uint32 });
const node = fc.record({
  node: text,
  busy: uint32,
  size: uint32,
  max: uint32,
  workers: fc.array(worker, { maxLength: 3 }),
  seenAtMs: uint,
});
agrees(
  "DescribeTasksResponse",
  codecs.describeTasksResponse,
  fc.record({
    queues: fc.array(queue, { maxLength: 3 }),
    workers: fc.array(node, { maxLength: 3 }),
    stats: fc.option(fc.record({ processed: uint, failed: uint }), absent),
    leader: text,
    tasks: fc.array(registered, { maxLength: 3 }),
  }),
);
agrees("ConfigureQueueRequest", codecs.configureQueueRequest, fc.record({ queue: text, options }));
for (const type of ["PauseQueueRequest", "ResumeQueueRequest", "DeleteQueueRequest"]) {
  agrees(type, codecs.queueRequest, fc.record({ queue: text }));
}
agrees(
  "EnqueueRecurrentTaskRequest",
  codecs.enqueueRecurrentRequest,
  fc.record({ name: text, frequencyMs: uint, cron: text, timeZone: text, args: payload }),
);
agrees("EnqueueRecurrentTaskResponse", codecs.enqueueRecurrentResponse, fc.record({ nextAtMs: uint }));
for (const type of ["EnqueueAllRecurrentTasksResponse", "CleanOldWorkersResponse"]) {
  agrees(type, codecs.namesResponse, fc.record({ names: fc.array(text) }));
}
agrees("StopRecurrentTaskRequest", codecs.taskNameRequest, fc.record({ name: text }));
agrees("CleanOldWorkersRequest", codecs.cleanOldWorkersRequest, fc.record({ ageMs: uint }));

const NO_REQUEST = {
  hello: undefined,
  credit: undefined,
  heartbeat: undefined,
  progress: undefined,
  complete: undefined,
  fail: undefined,
  release: undefined,
};
const told = fc.record({ id: text, fence: uint, payload });
agrees(
  "WorkRequest",
  work.workRequest,
  fc.oneof(
    fc
      .record({ worker: text, tasks: fc.array(registered, { maxLength: 3 }), credit: uint32 })
      .map((hello) => ({ ...NO_REQUEST, hello })),
    uint32.map((credit) => ({ ...NO_REQUEST, credit })),
    fc.constant({ ...NO_REQUEST, heartbeat: Buffer.alloc(0) }),
    told.map((progress) => ({ ...NO_REQUEST, progress })),
    told.map((complete) => ({ ...NO_REQUEST, complete })),
    fc.record({ id: text, fence: uint, error: text, final: fc.boolean() }).map((fail) => ({ ...NO_REQUEST, fail })),
    fc.record({ id: text, fence: uint }).map((release) => ({ ...NO_REQUEST, release })),
  ),
);

const NO_RESPONSE = { welcome: undefined, task: undefined, settled: undefined, cancel: undefined, goAway: undefined };
agrees(
  "WorkResponse",
  work.workResponse,
  fc.oneof(
    fc.record({ workerId: text, node: text, heartbeatMs: uint }).map((welcome) => ({ ...NO_RESPONSE, welcome })),
    fc
      .record({
        id: text,
        name: text,
        queue: text,
        args: payload,
        fence: uint,
        attemptsMade: uint32,
        attempts: uint32,
        enqueuedAtMs: uint,
        timeoutMs: uint,
      })
      .map((task) => ({ ...NO_RESPONSE, task })),
    fc.record({ id: text, fence: uint, code: text, error: text }).map((settled) => ({ ...NO_RESPONSE, settled })),
    fc.record({ id: text, fence: uint, reason: text }).map((cancel) => ({ ...NO_RESPONSE, cancel })),
    fc.record({ reason: text }).map((goAway) => ({ ...NO_RESPONSE, goAway })),
  ),
);

test("a duplicate policy is what the .proto calls it", (t) => {
  const { values } = proto.lookupEnum("gearmesh.v1.DuplicatePolicy");
  const { unspecified, refuse, suppress, allow } = codecs.DUPLICATES;
  t.deepEqual({ ...values }, {
    DUPLICATE_POLICY_UNSPECIFIED: unspecified,
    DUPLICATE_POLICY_REFUSE: refuse,
    DUPLICATE_POLICY_SUPPRESS: suppress,
    DUPLICATE_POLICY_ALLOW: allow,
  } as Record<string, number>);
});
