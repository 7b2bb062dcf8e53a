import test from "ava";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { encodePayload } from "../../src/base/payload.ts";
import { ReplicaConfirmation } from "../../src/redis/replica-confirmation.ts";
import { StoreClient } from "../../src/redis/store-client.ts";
import { RedisTaskStore } from "../../src/redis/task-store.ts";
import type { NewTask, StoredTask } from "../../src/tasks/task-store.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf } from "../support/fault-of.ts";
import { type LocalRedis, startRedis } from "./local-redis.ts";

const PARTITION = "mails.0";
const RESULT = encodePayload("null");

function storeBeside(redis: LocalRedis, more: { readonly resultMs?: number; readonly maxResults?: number } = {}) {
  const client = new StoreClient(redis, () => undefined);
  const store = new RedisTaskStore(client, {
    namespace: "test",
    worker: () => "gearmesh-1",
    leaseMs: 30_000,
    recoverMs: 30_000,
    maxReruns: 10,
    resultMs: 60_000,
    maxResults: 1000,
    confirmation: new ReplicaConfirmation(),
    ...more,
  });
  return { partition: store.partition(PARTITION), [Symbol.asyncDispose]: () => client.close() };
}

/** BullMQ as others have it, over the same keys. */
function bullQueue({ host, port }: LocalRedis) {
  const connection = new Redis({ host, port, maxRetriesPerRequest: null });
  const queue = new Queue(`{${PARTITION}}`, { connection, prefix: "test:tasks" });
  return {
    queue,
    connection,
    async [Symbol.asyncDispose]() {
      await queue.close();
      connection.disconnect();
    },
  };
}

function task(key: string, more: Partial<NewTask> = {}): NewTask {
  return {
    key,
    name: "welcome",
    args: encodePayload('{"user":7}'),
    enqueuedAtMs: 1_700_000_000_000,
    delayMs: 0,
    priority: 0,
    attempts: 3,
    backoffMs: 500,
    deduplicationId: "",
    ...more,
  };
}

function keys(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `t-${index}`);
}

test("many tasks at once are kept as BullMQ keeps each of them", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  await using bull = bullQueue(redis);
  const { queue, connection } = bull;
  const ofBull = { jobId: "t-bull", attempts: 3, backoff: 500, timestamp: 1_700_000_000_000 };
  await queue.add("welcome", { json: { user: 7 } }, ofBull);
  t.deepEqual(await Promise.all(keys(3).map((key) => store.partition.add(task(key)))), keys(3));
  const toKey = (name: string) => `test:tasks:{${PARTITION}}:${name}`;
  const [own, theirs] = await Promise.all(["t-0", "t-bull"].map((key) => connection.hgetall(toKey(key))));
  t.deepEqual({ ...own, opts: JSON.parse(own?.["opts"] ?? "") }, { ...theirs, opts: { attempts: 3, backoff: 500 } });
  t.deepEqual(await connection.lrange(toKey("wait"), 0, -1), [...keys(3).reverse(), "t-bull"]);
  t.is(await connection.get(toKey("id")), "4");
  t.is(await connection.zcard(toKey("marker")), 1);
  t.is(await queue.getWaitingCount(), 4);
});

test("a task that is there is not enqueued again, be it twice at once", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  await Promise.all(["t-0", "t-1", "t-0"].map((key) => store.partition.add(task(key))));
  await store.partition.add(task("t-1"));
  t.like(await store.partition.counts(), { waiting: 2 });
});

test("a worker of BullMQ works what was enqueued, in order", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const worked: unknown[] = [];
  const connection = new Redis({ host: redis.host, port: redis.port, maxRetriesPerRequest: null });
  const worker = new Worker(
    `{${PARTITION}}`,
    async ({ id, data, attemptsMade, opts }) => void worked.push([id, data, attemptsMade, opts.attempts]),
    { connection, prefix: "test:tasks" },
  );
  // It waits for its marker already.
  await worker.waitUntilReady();
  await Promise.all(keys(20).map((key) => store.partition.add(task(key))));
  await eventually(() => worked.length === 20, { what: "the worker to work all" });
  t.deepEqual(
    worked,
    keys(20).map((key) => [key, { json: { user: 7 } }, 0, 3]),
  );
  await worker.close();
  connection.disconnect();
});

test("a task is taken and completed as BullMQ does it", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const { partition } = store;
  const connection = new Redis({ host: redis.host, port: redis.port, maxRetriesPerRequest: null });
  const options = { connection, prefix: "test:tasks", name: "gearmesh-1", autorun: false };
  const worker = new Worker(`{${PARTITION}}`, null, options);
  const toKey = (name: string) => `test:tasks:{${PARTITION}}:${name}`;
  const kept = async (key: string) => {
    const { processedOn, finishedOn, ...fields } = await connection.hgetall(toKey(key));
    const isRecent = [processedOn, finishedOn].map((at) => at && Math.abs(Date.now() - Number(at)) < 60_000);
    return { fields, isRecent, lock: await connection.get(toKey(`${key}:lock`)) };
  };
  await Promise.all(keys(2).map((key) => partition.add(task(key))));
  const { task: taken } = await partition.take("a token");
  const theirs = await worker.getNextJob("a token");
  t.like(taken, { key: "t-0", name: "welcome", fence: 1, attemptsMade: 0, attempts: 3, backoffMs: 500, priority: 0 });
  t.is(theirs?.id, "t-1");
  t.deepEqual(await kept("t-0"), await kept("t-1"));
  t.true((await connection.pttl(toKey("t-0:lock"))) > 15_000);
  t.deepEqual(await connection.lrange(toKey("active"), 0, -1), ["t-1", "t-0"]);
  await connection.sadd(toKey("stalled"), "t-0", "t-1");

  t.is(await partition.complete(taken as StoredTask, "a token", RESULT, false), undefined);
  await theirs?.moveToCompleted({ json: null }, "a token", false);
  t.deepEqual(await kept("t-0"), await kept("t-1"));
  t.like(await kept("t-0"), { fields: { atm: "1", ats: "1", returnvalue: '{"json":null}' }, lock: null });
  t.deepEqual(await connection.zrange(toKey("completed"), "0", "-1"), ["t-0", "t-1"]);
  t.is(await connection.exists(toKey("active"), toKey("stalled")), 0);
  await worker.close();
  connection.disconnect();
});

test("what is due, and has priority, comes in BullMQ's order; then it is told when the next one is due", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const { partition } = store;
  const dueAtMs = Date.now() + 600_000;
  const inQueue = [{ priority: 5 }, { delayMs: 1 }, { priority: 1 }, { delayMs: 1, priority: 1 }, {}];
  for (const [index, more] of inQueue.entries()) await partition.add(task(`t-${index}`, { ...more, enqueuedAtMs: 1 }));
  await partition.add(task("later", { delayMs: 600_000, enqueuedAtMs: Date.now() }));
  const order: (string | undefined)[] = [];
  for (let i = 0; i < 5; i++) order.push((await partition.take(`lane ${i}`)).task?.key);
  t.deepEqual(order, ["t-4", "t-1", "t-2", "t-3", "t-0"]);
  const { task: none, nextAtMs, limitedMs } = await partition.take("lane 5");
  t.deepEqual([none, limitedMs], [undefined, 0]);
  t.true(nextAtMs >= dueAtMs && nextAtMs < dueAtMs + 60_000);
});

test("no more begin at once than the rate limit allows, and none while the queue is paused", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const { partition } = store;
  await Promise.all(keys(6).map((key) => partition.add(task(key))));
  await partition.limit({ max: 2, perMs: 60_000 });
  const taken = await Promise.all(["a", "b", "c"].map((token) => partition.take(token)));
  t.deepEqual(
    taken.map(({ task: each }) => each?.key),
    ["t-0", "t-1", undefined],
  );
  t.true((taken[2]?.limitedMs ?? 0) > 50_000);
  const next = await partition.complete(taken[0]?.task as StoredTask, "a", RESULT, true);
  t.deepEqual([next?.task, (next?.limitedMs ?? 0) > 0], [undefined, true]);

  await partition.limit(undefined);
  await partition.pause(true);
  t.is((await partition.complete(taken[1]?.task as StoredTask, "b", RESULT, true))?.task, undefined);
  t.is((await partition.take("d")).task, undefined);
  await partition.pause(false);
  t.is((await partition.take("d")).task?.key, "t-2");
});

test("completed tasks are kept for their time, and not more of them than there may be", async (t) => {
  await using redis = await startRedis();
  await using few = storeBeside(redis, { maxResults: 3 });
  await using brief = storeBeside(redis, { resultMs: 1000 });
  const work = async ({ partition }: typeof few, key: string) => {
    await partition.add(task(key));
    const { task: taken } = await partition.take("lane");
    await partition.complete(taken as StoredTask, "lane", RESULT, false);
  };
  for (const key of keys(5)) await work(few, key);
  t.like(await few.partition.counts(), { completed: 3 });
  t.is(await few.partition.find("t-1"), undefined);
  t.is((await few.partition.find("t-4"))?.state, "completed");
  const goneWith = async (key: string) => {
    await work(brief, key);
    return (await brief.partition.find("t-4")) === undefined;
  };
  let count = 0;
  await eventually(() => goneWith(`more-${count++}`), { what: "an end of what is older than a second" });
});

test("a task that is a duplicate no longer may be enqueued again once it has ended", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const { partition } = store;
  t.is(await partition.add(task("t-0", { deduplicationId: "d" })), "t-0");
  t.is(await partition.add(task("t-1", { deduplicationId: "d" })), "t-0");
  const { task: taken } = await partition.take("lane");
  await partition.complete(taken as StoredTask, "lane", RESULT, false);
  t.is(await partition.add(task("t-2", { deduplicationId: "d" })), "t-2");
});

test("tasks that end at once each get their own answer", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const { partition } = store;
  await Promise.all(keys(200).map((key) => partition.add(task(key))));
  const first = await Promise.all(keys(100).map((_, lane) => partition.take(`lane ${lane}`)));
  t.deepEqual(
    first.map((taken) => taken.task?.key),
    keys(100),
  );
  const strangers = new Set([3, 77]);
  const ended = await Promise.all(
    first.map(({ task: each }, lane) => {
      const token = strangers.has(lane) ? "another's" : `lane ${lane}`;
      const next = partition.complete(each as StoredTask, token, RESULT, true);
      return strangers.has(lane) ? faultOf(next) : next;
    }),
  );
  const next = ended.map((each) => (each && "task" in each ? each.task?.key : each?.code));
  const expected = keys(200).slice(100);
  t.deepEqual(
    next,
    first.map((_, lane) => (strangers.has(lane) ? "TASK_NOT_HELD" : expected.shift())),
  );
  t.like(await partition.counts(), { waiting: 2, active: 100, completed: 98 });
});

test("an attempt that nobody began takes no fencing number, unless somebody else holds the task by now", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const { partition } = store;
  await partition.add(task("t-0"));
  const hold = { key: "t-0", token: "lane 0" };
  t.is((await partition.take("lane 0")).task?.fence, 1);
  await partition.unbegin(hold);
  await partition.handBack(hold);
  t.is((await partition.take("lane 1")).task?.fence, 1);
  await partition.unbegin(hold);
  await partition.handBack({ key: "t-0", token: "lane 1" });
  t.is((await partition.take("lane 2")).task?.fence, 2);
});

test("a full Redis enqueues none of those that come at once", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const connection = new Redis({ host: redis.host, port: redis.port });
  await connection.config("SET", "maxmemory", "1");
  const faults = await Promise.all(keys(3).map((key) => faultOf(store.partition.add(task(key)))));
  t.deepEqual(
    faults.map(({ code }) => code),
    ["RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"],
  );
  await connection.config("SET", "maxmemory", "0");
  t.like(await store.partition.counts(), { waiting: 0 });
  connection.disconnect();
});
