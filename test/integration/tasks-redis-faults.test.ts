import test from "ava";
import { Redis } from "ioredis";
import { Fault } from "../../src/base/fault.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster, ClusterNode } from "../../src/dev/cluster.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";

/* A Redis that is full, takes no writes, or is away: a clear code, nothing half written, nothing accepted lost. */

let cluster: Cluster;
let client: GearmeshClient;
/** The shard of the queue. */
let node: ClusterNode;
let redis: Redis;

test.before(async () => {
  cluster = await startPatientCluster({ shards: 1, env: { GEARMESH_TASK_LEASE_MS: "20000" } });
  const [only] = cluster.nodes;
  if (!only) throw new Error("a cluster without nodes");
  node = only;
  client = connect({ address: node.coordinator.address, token: cluster.token });
  redis = new Redis({ host: "127.0.0.1", port: node.redis.port });
  await client.load('#!js name=jobs\nredis.register_task("echo", async (client, args) => args);');
});

test.after.always(async () => {
  client?.close();
  redis?.disconnect();
  await cluster?.[Symbol.asyncDispose]();
});

/** Tasks in each state, and how many keys of tasks there are in all. */
async function census() {
  const { queues } = await client.tasks.details();
  const { length, delayed, active, failed, completed } = queues["default"] ?? {};
  return { length, delayed, active, failed, completed, keys: (await redis.keys("*:t-*")).length };
}

test.serial("a full Redis refuses tasks, and works those that it has accepted, delayed ones too", async (t) => {
  // None is at work when they are counted.
  await client.tasks.pauseQueue("default");
  const accepted = await Promise.all([100, 300, 500].map((ms) => client.tasks.enqueueIn(ms, "echo", ms)));
  const waiting = await client.tasks.enqueue("echo", "waiting");
  const before = await census();
  await redis.config("SET", "maxmemory", "1mb");
  await t.throwsAsync(client.tasks.enqueue("echo", 1), { code: "RESOURCE_EXHAUSTED", message: /OOM/ });
  await t.throwsAsync(client.tasks.enqueueIn(5000, "echo", 1), { code: "RESOURCE_EXHAUSTED", message: /OOM/ });
  await t.throwsAsync(client.tasks.enqueue("echo", 1, { priority: 1 }), { code: "RESOURCE_EXHAUSTED", message: /OOM/ });
  t.is((await census()).keys, before.keys);
  await client.tasks.resumeQueue("default");
  for (const { id } of [...accepted, waiting]) await client.tasks.result(id);
  await redis.config("SET", "maxmemory", "0");
  t.like(await census(), { length: 0, delayed: 0, active: 0, failed: 0, completed: 4 });
  t.is(await client.tasks.result((await client.tasks.enqueue("echo", "again")).id), "again");
});

test.serial("a Redis that takes no writes refuses tasks, and loses none that it has", async (t) => {
  await client.tasks.pauseQueue("default");
  const waiting = await Promise.all([1, 2, 3].map((n) => client.tasks.enqueue("echo", n)));
  const { keys } = await census();
  await redis.config("SET", "min-replicas-to-write", "1");
  await t.throwsAsync(client.tasks.enqueue("echo", 1), { code: "UNAVAILABLE", message: /NOREPLICAS/ });
  t.is((await census()).keys, keys);
  await redis.config("SET", "min-replicas-to-write", "0");
  await client.tasks.resumeQueue("default");
  for (const [i, { id }] of waiting.entries()) t.is(await client.tasks.result(id), i + 1);
});

test.serial(
  "while Redis is away for 10 s enqueueing waits as long as its caller does, and everything accepted is worked once",
  async (t) => {
    await using worker = client.tasks.work(
      { slow: { queue: "slow", handle: (_args, { fence }) => fence } },
      { concurrency: 5 },
    );
    await worker.ready;
    const before = await client.tasks.enqueueBulk(Array.from({ length: 50 }, (_, n) => ({ name: "slow", args: n })));
    process.kill(node.redis.pid ?? 0, "SIGSTOP");
    const stoppedAtMs = performance.now();
    const impatient = client.tasks.enqueue("slow", "impatient", { timeoutMs: 1500 });
    const { code } = await t.throwsAsync(impatient, { instanceOf: Fault });
    // It was sent, and comes to Redis when that is back.
    t.true(code === "INDETERMINATE" || code === "DEADLINE_EXCEEDED", code);
    const patient = client.tasks.enqueue("slow", "patient", { id: "patient", timeoutMs: 30_000 });
    await eventually(() => performance.now() - stoppedAtMs > 10_000, { what: "ten seconds" });
    process.kill(node.redis.pid ?? 0, "SIGCONT");
    for (const task of [...before, await patient]) {
      if (task instanceof Error) return t.fail(task.message);
      t.truthy(await client.tasks.result(task.id, { timeoutMs: 30_000 }));
    }
    t.is((await client.tasks.details()).queues["slow"]?.failed, 0);
  },
);
