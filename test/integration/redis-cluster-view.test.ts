import { Buffer } from "node:buffer";
import test from "ava";
import { Fault } from "../../src/base/fault.ts";
import { RedisClusterView } from "../../src/redis/cluster-view.ts";
import { createControlClient } from "../../src/redis/control-client.ts";
import { formCluster } from "../../src/redis/form-cluster.ts";
import { slotOf } from "../../src/redis/key-slot.ts";
import { SlotMap } from "../../src/topology/slot-map.ts";
import { eventually } from "../support/eventually.ts";
import { type LocalRedis, startRedis, startRedises } from "./local-redis.ts";

/** A view's source and the control connection it reads over. */
async function sourceOf(redis: LocalRedis) {
  const client = createControlClient(redis, { onError: () => undefined, reconnect: { initialMs: 20, maxMs: 100 } });
  await client.connect();
  return { client, source: new RedisClusterView(client, redis), [Symbol.dispose]: () => client.disconnect() };
}

test("every node tells the same map, and it is the one that Redis routes by", async (t) => {
  await using cluster = await startRedises(6, { cluster: true });
  await formCluster(cluster.nodes, { replicasPerMaster: 1 });
  const maps: SlotMap[] = [];
  for (const node of cluster.nodes) {
    using asked = await sourceOf(node);
    maps.push(SlotMap.from(await asked.source.read(), 1));
  }
  t.is(new Set(maps.map(({ hash }) => hash)).size, 1);
  t.deepEqual(
    maps.map(({ self, selfShard }) => self === selfShard),
    [true, true, true, false, false, false],
  );
  const [map] = maps;
  const [first] = cluster.nodes;
  if (!map || !first) return t.fail();
  t.deepEqual(
    map.shards.map(({ address: { port } }) => port),
    cluster.nodes.slice(0, 3).map(({ port }) => port),
  );
  t.deepEqual(
    map.replicas.map(({ address: { port } }) => port).sort(),
    cluster.nodes
      .slice(3)
      .map(({ port }) => port)
      .sort(),
  );

  using asked = await sourceOf(first);
  for (let index = 0; index < 50; index++) {
    const key = Buffer.from(`{}${index}}{key`);
    const slot = Number(await asked.client.call("CLUSTER", "KEYSLOT", key));
    t.is(slotOf(key), slot);
    const answer = await asked.client.call("GET", key).catch(String);
    const owner = map.ownerOf(slot);
    if (owner?.id === map.self) t.is(answer, null);
    else t.regex(String(answer), new RegExp(`MOVED ${slot} 127.0.0.1:${owner?.address.port}`));
  }
});

test("a master that dies stays the owner of its slots", async (t) => {
  await using cluster = await startRedises(3, { cluster: true });
  await formCluster(cluster.nodes);
  const [first, , third] = cluster.nodes;
  if (!first || !third) return t.fail();
  using asked = await sourceOf(first);
  const before = SlotMap.from(await asked.source.read(), 1);
  third.process.kill("SIGKILL");
  await eventually(async () => String(await asked.client.call("CLUSTER", "NODES")).includes("master,fail "), {
    what: "failed master",
  });
  const after = SlotMap.from(await asked.source.read(), 2);
  t.true(after.equals(before));
  t.is(after.ownerOf(16383)?.address.port, third.port);
});

test("a Redis without cluster mode is one shard", async (t) => {
  await using redis = await startRedis();
  using asked = await sourceOf(redis);
  const map = SlotMap.from(await asked.source.read(), 1);
  t.regex(map.self, /^[0-9a-f]{40}$/);
  t.is(map.ownerOf(0)?.id, map.self);
  t.deepEqual(map.shards[0]?.slots, [{ start: 0, end: 16383 }]);
});

test("a Redis that is away is told by its address, and is read again when it is back", async (t) => {
  await using redis = await startRedis();
  using asked = await sourceOf(redis);
  redis.process.kill("SIGKILL");
  const fault = await eventually(
    () =>
      asked.source.read().then(
        () => undefined,
        (error: unknown) => (error instanceof Fault ? error : undefined),
      ),
    { what: "failed reading" },
  );
  if (!fault) return t.fail();
  t.is(fault.code, "UNAVAILABLE");
  t.true(fault.message.startsWith(`Redis at 127.0.0.1:${redis.port} did not tell its topology`));
  await redis.restart();
  const view = await eventually(() => asked.source.read(), { what: "reading" });
  t.is(view.shards.length, 1);
});
