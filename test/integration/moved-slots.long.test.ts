import test from "ava";
import { Redis } from "ioredis";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster, ClusterNode, ClusterOptions } from "../../src/dev/cluster.ts";
import { slotOf } from "../../src/redis/key-slot.ts";
import type { SlotRange } from "../../src/topology/topology.ts";
import { startTestCluster } from "../support/cluster.ts";

/** No coordinator learns of anything by waiting. */
const ENV = {
  GEARMESH_TOPOLOGY_INTERVAL_MS: "3600000",
  GEARMESH_LEASE_MS: "0",
  GEARMESH_LOCK_REDIS_TIMEOUT: "20000",
  // What a slow machine makes of 10,000 errors is not what is asked here.
  GEARMESH_RUN_TIMEOUT_MS: "20000",
};

/** Of the first shard's, and what goes to the second one. */
const MOVED = { start: 0, end: 19 };

const STORM = 10_000;

const LIBRARY = `#!js name=lib
redis.register_remote_function("get", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_async_function("read", async (client, key) => client.run_on_key(key, "get", key));
redis.register_function("append", (client, key, text) => client.call("append", key, text));
redis.register_function("join", (client, ...keys) => client.call("mget", ...keys).join(""), ["no-writes"]);
redis.register_function("foreign", (client, key, times) => {
  let moved = 0;
  for (let i = 0; i < Number(times); i++) {
    try { client.call("get", key); } catch (error) { if (String(error).includes("MOVED")) moved++; }
  }
  return moved;
}, ["no-writes"]);
`;

function keysIn({ start, end }: SlotRange): readonly string[] {
  const keys = Array.from({ length: 40_000 }, (_, i) => `key:${i}`);
  return keys.filter((key) => {
    const slot = slotOf(Buffer.from(key));
    return slot >= start && slot <= end;
  });
}

interface Started extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly clients: readonly [GearmeshClient, GearmeshClient, GearmeshClient];
  readonly nodes: readonly [ClusterNode, ClusterNode, ClusterNode];
}

async function start(
  t: Parameters<typeof startTestCluster>[0],
  options: Partial<ClusterOptions> = {},
): Promise<Started> {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startTestCluster(t, { shards: 3, env: ENV, ...options }));
  const [first, second, third] = cluster.nodes;
  if (!first || !second || !third) throw new Error("a cluster of three");
  const clientOf = ({ coordinator }: ClusterNode) =>
    stack.use(connect({ address: coordinator.address, token: cluster.token }));
  const client = clientOf(first);
  if (options.mode === "manual") await client.refreshCluster();
  await client.load(LIBRARY);
  const clients = [client, clientOf(second), clientOf(third)] as const;
  const running = stack.move();
  return { cluster, clients, nodes: [first, second, third], [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Readings of the topology for a cause. */
async function refreshes({ coordinator }: ClusterNode, cause: string): Promise<number> {
  const metrics = await (await fetch(`http://${coordinator.opsAddress}/metrics`)).text();
  const lines = metrics.matchAll(/^gearmesh_topology_refreshes_total\{.*?cause="([^"]*)".*?\} (\d+)$/gm);
  return [...lines].filter(([, name]) => name === cause).reduce((sum, [, , count]) => sum + Number(count), 0);
}

test.serial("calls find keys that have moved, through each coordinator, and do not do anything twice", async (t) => {
  await using started = await start(t);
  const { cluster, clients, nodes } = started;
  const keys = keysIn(MOVED);
  t.true(keys.length > 20);
  await Promise.all(keys.map((key) => clients[0].call("lib.append", { keys: [key], args: ["a"] })));
  for (const [from, to, text] of [
    [nodes[0], nodes[1], "b"],
    [nodes[1], nodes[2], "c"],
    [nodes[2], nodes[0], "d"],
  ] as const) {
    await cluster.moveSlots(MOVED, from, to);
    const appended = keys.map((key, i) => clients[i % 3]?.call("lib.append", { keys: [key], args: [text] }));
    await Promise.all(appended);
    const read = await Promise.all(keys.map((key, i) => clients[(i + 1) % 3]?.call("lib.read", { args: [key] })));
    const expected = "abcd".slice(0, "abcd".indexOf(text) + 1);
    t.deepEqual(new Set(read), new Set([expected]));
  }
});

test.serial(
  "while a slot is on its way its keys are found on either side, and several together once all have arrived",
  async (t) => {
    await using started = await start(t);
    const { clients, nodes } = started;
    const source = new Redis(nodes[0].redis.port);
    const target = new Redis(nodes[1].redis.port);
    t.teardown(() => {
      for (const redis of [source, target]) redis.disconnect();
    });
    const [tag = ""] = keysIn(MOVED);
    const slot = slotOf(Buffer.from(tag));
    const [here, gone, added] = [`1{${tag}}`, `2{${tag}}`, `3{${tag}}`];
    const append = (key: string, i: number) =>
      clients[i % 3]?.call("lib.append", { keys: [key], args: [key.slice(0, 1)] });
    await Promise.all([append(here, 0), append(gone, 1)]);

    await target.cluster("SETSLOT", slot, "IMPORTING", await source.cluster("MYID"));
    await source.cluster("SETSLOT", slot, "MIGRATING", await target.cluster("MYID"));
    const migrate = (key: string) => source.migrate("127.0.0.1", nodes[1].redis.port, key, 0, 5000);
    await migrate(gone);
    await Promise.all([append(added, 2), append(gone, 0), append(here, 1)]);
    t.is(await source.cluster("COUNTKEYSINSLOT", slot), 1, "what is new is made where the slot goes to");
    for (const client of clients) {
      const read = await Promise.all([here, gone, added].map((key) => client.call("lib.read", { args: [key] })));
      t.deepEqual(read, ["11", "22", "3"]);
    }
    const together = clients.map((client) => client.call("lib.join", { keys: [here, gone, added] }));
    await migrate(here);
    t.deepEqual(await Promise.all(together), ["11223", "11223", "11223"]);

    for (const redis of [target, source]) await redis.cluster("SETSLOT", slot, "NODE", await target.cluster("MYID"));
    for (const client of clients) t.is(await client.call("lib.join", { keys: [here, gone, added] }), "11223");
  },
);

test.serial("in a manual topology MOVED is the answer, and RefreshCluster mends it", async (t) => {
  await using started = await start(t, { mode: "manual" });
  const { cluster, clients, nodes } = started;
  const [key = ""] = keysIn(MOVED);
  await cluster.moveSlots(MOVED, nodes[0], nodes[1]);
  await t.throwsAsync(clients[0].call("lib.append", { keys: [key], args: ["a"] }), {
    code: "MOVED",
    message: new RegExp(`MOVED ${slotOf(Buffer.from(key))} 127\\.0\\.0\\.1:${nodes[1].redis.port}`),
  });
  await clients[2].refreshCluster();
  t.is(await clients[0].call("lib.append", { keys: [key], args: ["a"] }), 1n);
});

test.serial(`${STORM} MOVED cost each coordinator at most three readings of the topology`, async (t) => {
  await using started = await start(t);
  const { clients, nodes } = started;
  const [key = ""] = keysIn({ start: 16_300, end: 16_383 });
  const startedMs = performance.now();
  t.is(await clients[0].call("lib.foreign", { args: [key, String(STORM)], timeoutMs: 30_000 }), BigInt(STORM));
  const tookMs = performance.now() - startedMs;
  const counts = await Promise.all(nodes.map((node) => refreshes(node, "moved")));
  t.log(`${STORM} MOVED in ${tookMs.toFixed()} ms; readings: ${counts.join(", ")}`);
  t.true(Math.max(...counts) <= 3, counts.join());
  t.true((counts[0] ?? 0) >= 1);
});
