import { rm } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { Redis } from "ioredis";
import { Fault } from "../../src/base/fault.ts";
import { connect } from "../../src/client/client.ts";
import type { ClusterNode } from "../../src/dev/cluster.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { keyOn } from "../support/keys.ts";

const LIBRARY = `#!js name=lib
redis.register_remote_function("get", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_function("set", (client, key, value) => client.call("set", key, value));
redis.register_async_function("read", async (client, key) => client.runOnKey(key, { function: "get", timeoutMs: 10000 }, key));
`;

function redisOf({ redis }: ClusterNode): Redis & Disposable {
  const client = new Redis(redis.port, redis.host);
  client.on("error", () => undefined);
  return Object.assign(client, { [Symbol.dispose]: () => client.disconnect() });
}

test.serial("a slot without an owner gives UNAVAILABLE, which names it, and the others are served", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 3 });
  const [first, second] = cluster.nodes;
  if (!first || !second) return t.fail();
  await using client = connect({ address: first.coordinator.address, token: cluster.token });
  await client.load(LIBRARY);
  const [own, lost] = [keyOn(cluster, first), keyOn(cluster, second)];
  const { slot } = await client.locateKey(lost);
  // Its owner first: what that still claims the others learn again.
  for (const node of [second, ...cluster.nodes.filter((other) => other !== second)]) {
    using redis = redisOf(node);
    await redis.call("CLUSTER", "DELSLOTS", slot);
  }
  const message = `slot ${slot} has no owner`;
  const isKnown = async () => (await client.locateKey(lost).catch(Fault.from)) instanceof Fault;
  await eventually(isKnown, { what: "a slot without an owner" });
  await t.throwsAsync(client.call("lib.set", { keys: [lost], args: ["value"] }), { instanceOf: Fault, message });
  await t.throwsAsync(client.call("lib.read", { args: [lost] }), { instanceOf: Fault, message });
  t.is(await client.call("lib.set", { keys: [own], args: ["value"] }), "OK");
  t.is(await client.call("lib.read", { args: [own] }), "value");

  using redis = redisOf(second);
  await redis.call("CLUSTER", "ADDSLOTS", slot);
  const set = () => client.call("lib.set", { keys: [lost], args: ["value"] });
  t.is(await eventually(set, { what: "the slot's new owner" }), "OK");
});

test.serial("a node that comes back under another id is not taken for the old one", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 3 });
  const [first, second, third] = cluster.nodes;
  if (!first || !second || !third) return t.fail();
  await using client = connect({ address: first.coordinator.address, token: cluster.token });
  await client.load(LIBRARY);
  const key = keyOn(cluster, third);
  t.is(await client.call("lib.set", { keys: [key], args: ["before"] }), "OK");
  const { slot, shard: old } = await client.locateKey(key);

  // It forgets who it was, and what it had.
  await third.redis.kill();
  await rm(join(third.redis.directory, "nodes.conf"));
  await third.redis.start();
  const read = () => client.call("lib.read", { args: [key], timeoutMs: 5000 });
  const strange = await t.throwsAsync(read(), { instanceOf: Fault });
  t.log(strange?.message);

  using newcomer = redisOf(third);
  const id = String(await newcomer.call("CLUSTER", "MYID"));
  t.not(id, old.id);
  for (const node of [first, second]) {
    using redis = redisOf(node);
    await redis.call("CLUSTER", "FORGET", old.id);
    await redis.call("CLUSTER", "MEET", third.redis.host, third.redis.port);
  }
  const withoutOwner = async () => /no owner/.test(Fault.from(await client.locateKey(key).catch(Fault.from)).message);
  await eventually(withoutOwner, { what: "slots without an owner" });
  await t.throwsAsync(read(), { instanceOf: Fault, message: `slot ${slot} has no owner` });

  const { slots } = old;
  await newcomer.call("CLUSTER", "ADDSLOTSRANGE", ...slots.flatMap(({ start, end }) => [start, end]));
  t.is(await eventually(async () => (await read()) === null, { what: "the new node's answer" }), true);
  const { shards } = await client.topology();
  t.deepEqual(shards.map((shard) => shard.id).includes(old.id), false);
  t.deepEqual(shards.map((shard) => [shard.id === id, shard.link]).at(-1), [true, "open"]);
  t.is(await client.call("lib.set", { keys: [key], args: ["after"] }), "OK");
  t.is(await read(), "after");
});
