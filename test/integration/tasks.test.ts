import test, { type ExecutionContext } from "ava";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";

/* One test at least for each line of "Tasks" in the reference page, named after it. */

let cluster: Cluster;
let clients: readonly GearmeshClient[] = [];

const LIBRARY = `#!js name=jobs
redis.register_task("echo", async (client, args, task) => ({ args, name: task.name, queue: task.queue, fence: task.fence }));
redis.register_task("fails", async () => { throw "no luck"; }, { attempts: 2 });
redis.register_task("count", async (client, key) => Number(client.block((c) => c.call("incr", key))));
`;

test.before(async () => {
  cluster = await startPatientCluster({
    shards: 3,
    env: {
      GEARMESH_TASK_QUEUES: "high,low",
      GEARMESH_TASK_MIN_WORKERS: "2",
      GEARMESH_TASK_MAX_WORKERS: "8",
    },
  });
  clients = cluster.nodes.map(({ coordinator }) => connect({ address: coordinator.address, token: cluster.token }));
  await client(0).load(LIBRARY);
});

test.after.always(async () => {
  for (const each of clients) each.close();
  await cluster?.[Symbol.asyncDispose]();
});

function client(index: number): GearmeshClient {
  const found = clients[index % 3];
  if (!found) throw new Error(`there is no coordinator ${index}`);
  return found;
}

test.serial("`enqueue(name, inputs, queue)`", async (t: ExecutionContext) => {
  for (const [index, each] of clients.entries()) {
    const { id } = await each.tasks.enqueue("echo", { index });
    t.like(await client(index + 1).tasks.result(id), { args: { index }, name: "echo", queue: "default", fence: 1 });
  }
});

test.serial("`enqueueAt(timestampMs, ...)`, `enqueueIn(ms, ...)`: not before, and soon after", async (t) => {
  const dueAtMs = Date.now() + 5000;
  const at = await client(0).tasks.enqueueAt(dueAtMs, "echo", "at");
  const within = await client(1).tasks.enqueueIn(2000, "echo", "in");
  t.is((await client(2).tasks.describe(at.id)).state, "delayed");
  for (const { id } of [at, within]) await client(2).tasks.result(id);
  const { enqueuedAtMs, startedAtMs } = await client(0).tasks.describe(within.id);
  t.true(startedAtMs - enqueuedAtMs >= 1990);
  t.true((await client(0).tasks.describe(at.id)).startedAtMs >= dueAtMs);
});

test.serial(
  'a duplicate at the same second with the same inputs: "Job already enqueued at this time with same arguments" unless suppressed',
  async (t) => {
    const at = Math.ceil(Date.now() / 1000) * 1000 + 60_000;
    const { id } = await client(0).tasks.enqueueAt(at, "echo", { same: 1 });
    const refused = { code: "DUPLICATE_TASK", message: "Job already enqueued at this time with same arguments" };
    await t.throwsAsync(client(1).tasks.enqueueAt(at + 400, "echo", { same: 1 }), refused);
    t.deepEqual(await client(1).tasks.enqueueAt(at, "echo", { same: 1 }, { duplicates: "suppress" }), {
      id,
      suppressed: true,
    });
    for (const other of [
      await client(1).tasks.enqueueAt(at + 1000, "echo", { same: 1 }),
      await client(1).tasks.enqueueAt(at, "echo", { same: 2 }),
      await client(1).tasks.enqueueAt(at, "echo", { same: 1 }, { duplicates: "allow" }),
    ]) {
      t.false(other.suppressed);
    }
    t.is((await client(2).tasks.delete({ state: "delayed", name: "echo", args: { same: 1 } })).count, 3);
  },
);

test.serial(
  "a task with a deduplication id is enqueued once at a time, and one with an id of its sender's once at all",
  async (t) => {
    const options = { deduplicationId: "one at a time", queue: "paused" };
    await client(0).tasks.configureQueue("paused");
    await client(0).tasks.pauseQueue("paused");
    const first = await client(0).tasks.enqueue("echo", 1, options);
    await t.throwsAsync(client(1).tasks.enqueue("echo", 2, options), { code: "DUPLICATE_TASK" });
    t.deepEqual(await client(1).tasks.enqueue("echo", 2, { ...options, duplicates: "suppress" }), {
      id: first.id,
      suppressed: true,
    });
    const own = await client(0).tasks.enqueue("echo", 3, { queue: "paused", id: "sent-twice" });
    t.deepEqual(await client(2).tasks.enqueue("echo", 3, { queue: "paused", id: "sent-twice" }), own);
    t.is((await client(0).tasks.list({ queue: "paused" })).length, 2);
    await client(0).tasks.resumeQueue("paused");
    t.like(await client(1).tasks.result(first.id), { args: 1 });
    t.false((await client(1).tasks.enqueue("echo", 2, options)).suppressed);
  },
);

test.serial(
  "`del(queue, name, inputs, count)` -> count, `delDelayed` -> timestamps, `delByFunction`, `delQueue`",
  async (t) => {
    const { tasks } = client(0);
    await tasks.configureQueue("doomed", { partitions: 3 });
    await tasks.pauseQueue("doomed");
    for (let i = 0; i < 4; i++) await tasks.enqueue("echo", { same: true }, { queue: "doomed" });
    for (let i = 0; i < 3; i++) await tasks.enqueue("count", i, { queue: "doomed" });
    const deleted = async (filter: object, count = 0) =>
      (await client(1).tasks.delete({ queue: "doomed", ...filter, count })).count;
    t.is(await deleted({ name: "echo", args: { same: true } }, 1), 1);
    t.is(await deleted({ name: "echo", args: { same: true } }), 3);
    t.is(await deleted({ name: "echo", args: { same: true } }), 0);
    t.is(await deleted({ name: "count" }), 3);
    const times = [Date.now() + 50_000, Date.now() + 70_000];
    for (const at of times) await tasks.enqueueAt(at, "echo", "later", { queue: "doomed" });
    const { dueAtMs } = await client(2).tasks.delete({
      queue: "doomed",
      state: "delayed",
      name: "echo",
      args: "later",
    });
    t.deepEqual(dueAtMs, times);
    await tasks.enqueue("echo", 1, { queue: "doomed" });
    await tasks.enqueueIn(60_000, "echo", 1, { queue: "doomed" });
    t.is(await client(1).tasks.deleteQueue("doomed"), 2);
    await t.throwsAsync(client(1).tasks.list({ queue: "doomed" }), { code: "UNKNOWN_QUEUE" });
  },
);

test.serial("`scheduledAt`, `timestamps`, `delayedAt`, `allDelayed`, `queued`, `queues`", async (t) => {
  const { tasks } = client(0);
  await tasks.configureQueue("looked-at");
  await tasks.pauseQueue("looked-at");
  const queue = "looked-at";
  const later = Math.ceil(Date.now() / 1000) * 1000 + 100_000;
  for (const at of [later + 5000, later]) await tasks.enqueueAt(at, "echo", { at }, { queue });
  await tasks.enqueueAt(later, "count", "x", { queue });
  for (let i = 0; i < 5; i++) await tasks.enqueue("echo", i, { queue });
  for (const { tasks: each } of clients) {
    const scheduledAt = await each.list({ queue, state: "delayed", name: "echo", args: { at: later } });
    t.deepEqual(
      scheduledAt.map(({ dueAtMs }) => dueAtMs),
      [later],
    );
    const timestamps = (await each.list({ queue, state: "delayed" })).map(({ dueAtMs }) => dueAtMs);
    t.deepEqual(timestamps, [later, later, later + 5000]);
    const delayedAt = await each.list({ queue, state: "delayed", at: later + 5200 });
    t.deepEqual(
      delayedAt.map(({ args }) => args),
      [{ at: later + 5000 }],
    );
    const queued = await each.list({ queue, start: 1, count: 3 });
    t.deepEqual(
      queued.map(({ args }) => args),
      [1, 2, 3],
    );
    t.true(Object.keys((await each.details()).queues).includes(queue));
  }
  await tasks.deleteQueue(queue);
});

test.serial(
  "`stats`, `locks`, `workers`, `workingOn`, `allWorkingOn`, `details` -> {queues: {q: {length}}, workers, stats, leader}",
  async (t) => {
    const begun = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const wait = async () => {
      begun.resolve();
      await go.promise;
    };
    await using worker = client(1).tasks.work({ wait: { handle: wait, queue: "watched" } }, { name: "w" });
    // Also where an assertion fails: the worker ends once its task has.
    using _released = { [Symbol.dispose]: () => go.resolve() };
    await worker.ready;
    const { id } = await client(0).tasks.enqueue("wait", 7);
    await begun.promise;
    const [workedOn] = await client(2).tasks.list({ state: "active", queue: "watched" });
    t.like(workedOn, { id, name: "wait", args: 7, fence: 1 });
    t.regex(workedOn?.worker ?? "", /^gearmesh-[123]$/);
    await client(0).tasks.pauseQueue("watched");
    await client(0).tasks.enqueue("wait", 8);
    const detailsOnceHeld = async () => {
      const details = await client(0).tasks.details();
      const isHeld = details.workers.some(({ workers }) => workers[0]?.holding === 1);
      return isHeld && details.workers.length === 3 ? details : undefined;
    };
    const details = await eventually(detailsOnceHeld, { what: "three nodes, and a worker that holds a task" });
    t.like(details?.queues["watched"], { length: 1, active: 1, paused: true });
    t.deepEqual(details?.workers.map(({ node }) => node).sort(), ["gearmesh-1", "gearmesh-2", "gearmesh-3"]);
    t.true((details?.stats?.processed ?? 0) >= 0);
    t.is(details?.leader, "gearmesh-1");
    t.like(
      details?.tasks.find(({ name }) => name === "wait"),
      { queue: "watched", external: true, attempts: 1 },
    );
    go.resolve();
    await client(0).tasks.resumeQueue("watched");
    await client(0).tasks.result(id);
  },
);

test.serial("`failedCount`, `failed`, `removeFailed`, `retryAndRemoveFailed`", async (t) => {
  const { tasks } = client(0);
  let isBroken = true;
  const handle = (args: unknown) => {
    if (isBroken) throw new Error(`broken ${args}`);
    return "mended";
  };
  await using worker = client(2).tasks.work({ brittle: { handle, queue: "brittle", attempts: 2, backoffMs: 10 } });
  await worker.ready;
  const [first, second, third] = await Promise.all([1, 2, 3].map((i) => tasks.enqueue("brittle", i)));
  await t.throwsAsync(tasks.result(first?.id ?? ""), { code: "TASK_FAILED", message: "broken 1" });
  for (const each of [second, third]) await t.throwsAsync(tasks.result(each?.id ?? ""), { code: "TASK_FAILED" });
  const failed = await client(1).tasks.list({ queue: "brittle", state: "failed" });
  t.is(failed.length, 3);
  t.is((await tasks.details()).queues["brittle"]?.failed, 3);
  for (const task of failed) t.like(task, { attemptsMade: 2, fence: 2, error: `broken ${task.args}` });
  t.is((await tasks.delete({ state: "failed", id: third?.id ?? "" })).count, 1);
  isBroken = false;
  t.is(await tasks.retry({ id: first?.id ?? "" }), 1);
  t.is(await tasks.result(first?.id ?? ""), "mended");
  t.is(await tasks.retry({ queue: "brittle" }), 1);
  t.is(await tasks.result(second?.id ?? ""), "mended");
  t.is((await tasks.list({ queue: "brittle", state: "failed" })).length, 0);
});

test.serial("`cleanOldWorkers`", async (t) => {
  const names = await client(0).tasks.cleanOldWorkers(0);
  t.true(names.length >= 1);
  await eventually(async () => (await client(1).tasks.details()).workers.length === 3, { what: "all nodes again" });
  t.deepEqual(await client(0).tasks.cleanOldWorkers(60_000), []);
});

test.serial("Recurrent tasks: `frequency` ms; one enqueued at a time in the whole cluster", async (t) => {
  const due: number[] = [];
  let running = 0;
  let most = 0;
  const handle = async () => {
    due.push(Date.now());
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 20));
    running--;
  };
  await using worker = client(1).tasks.work({ tick: { handle, queue: "ticks" } }, { concurrency: 10 });
  await worker.ready;
  // Runs are due by a clock that does not wait for those which begin late.
  const begunAt = Date.now();
  await client(0).tasks.enqueueRecurrentTask("tick", { frequencyMs: 200 });
  await eventually(() => due.length >= 5, { what: "five runs" });
  const seconds = ((due.at(-1) ?? 0) - begunAt) / 1000;
  t.true(due.length <= seconds * 5 + 1);
  t.is(most, 1);
  const enqueued = await client(2).tasks.list({ queue: "ticks", state: "delayed" });
  t.true(enqueued.length <= 1);
  await client(2).tasks.stopRecurrentTask("tick");
});

test.serial(
  "`enqueueRecurrentTask`, `enqueueAllRecurrentTasks`, `stopRecurrentTask`; by cron with a time zone",
  async (t) => {
    await client(0).load(`#!js name=recurrent
    redis.register_task("nightly", async () => 1, { cron: "0 3 * * *", timeZone: "Asia/Tokyo", queue: "nights" });
    redis.register_task("hourly", async () => 1, { frequency: 3600000, queue: "nights" });
  `);
    const enqueued = async () =>
      (await client(1).tasks.list({ queue: "nights", state: "delayed" })).map(({ name }) => name);
    await eventually(async () => (await enqueued()).length === 2, { what: "both, by themselves" });
    const [nightly] = await client(1).tasks.list({ queue: "nights", state: "delayed", name: "nightly" });
    const due = new Date(nightly?.dueAtMs ?? 0);
    t.deepEqual([due.getUTCHours(), due.getUTCMinutes()], [18, 0]);
    t.is(await client(2).tasks.stopRecurrentTask("nightly"), 1);
    await eventually(async () => (await enqueued()).join() === "hourly", { what: "one of them" });
    t.deepEqual(await client(0).tasks.enqueueAllRecurrentTasks(), ["hourly", "nightly"]);
    await eventually(async () => (await enqueued()).length === 2, { what: "both again" });
    const next = await client(0).tasks.enqueueRecurrentTask("nightly", { cron: "30 4 * * *", timeZone: "UTC" });
    t.deepEqual([next.getUTCHours(), next.getUTCMinutes()], [4, 30]);
    for (const name of ["nightly", "hourly"]) await client(0).tasks.stopRecurrentTask(name);
  },
);

test.serial("Queues are drained in the order given (strict priority)", async (t) => {
  const { tasks } = client(0);
  const worked: unknown[] = [];
  await using worker = tasks.work(
    {
      first: { handle: (args) => worked.push(args), queue: "low" },
      second: { handle: (args) => worked.push(args), queue: "high" },
    },
    { concurrency: 1 },
  );
  await worker.ready;
  for (const queue of ["low", "high"]) await tasks.pauseQueue(queue);
  const ids: string[] = [];
  for (let i = 0; i < 10; i++) {
    ids.push((await tasks.enqueue("first", `low ${i}`)).id, (await tasks.enqueue("second", `high ${i}`)).id);
  }
  for (const queue of ["high", "low"]) await tasks.resumeQueue(queue);
  for (const id of ids) await tasks.result(id);
  const order = ["high", "low"].flatMap((queue) => Array.from({ length: 10 }, (_, i) => `${queue} ${i}`));
  t.deepEqual(worked, order);
});

test.serial("Worker pool between min and max, scaled by load", async (t) => {
  await client(0).load(`#!js name=slow
    // It waits, rather than keep the machine busy: pools do not grow where that has no time.
    redis.register_task("slow", async (client) => {
      await client.runOnKey("x", { function: "never", timeoutMs: 300 }).catch(() => null);
    }, { queue: "slow" });
    redis.register_remote_function("never", async () => new Promise(() => undefined));
  `);
  const sizes = async () => (await client(0).tasks.details()).workers.map(({ size }) => size);
  await eventually(async () => (await sizes()).every((size) => size === 2), { what: "pools at their least" });
  await client(0).tasks.enqueueBulk(Array.from({ length: 1000 }, (_, i) => ({ name: "slow", args: i })));
  await eventually(async () => (await sizes()).every((size) => size > 4), { what: "pools that have grown" });
  t.true((await sizes()).every((size) => size <= 8));
  await client(0).tasks.deleteQueue("slow");
  await eventually(async () => (await sizes()).every((size) => size === 2), { what: "pools at their least again" });
});
