import test from "ava";
import { Redis } from "ioredis";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import { slotOf } from "../../src/redis/key-slot.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { watchHealth } from "../support/health-watch.ts";

/** It takes a while to load, so that who is behind is so for long enough to be seen. */
const library = (name: string) => `#!js name=${name}
const until = Date.now() + 200;
while (Date.now() < until);
redis.register_function("version", () => redis.config.version);
redis.register_function("write", (client, key, value) => [client.call("set", key, value), redis.config.version]);
redis.register_remote_function("read", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_async_function("read", async (client, key) => client.run_on_key(key, "read", key));
`;
/** So often is the new coordinator taken at its word. */
const TIMES = 20;
/** What the new shard gets of the first one's slots. */
const MOVED = { start: 0, end: 99 };

function keyIn({ start, end }: typeof MOVED): string {
  for (let i = 0; ; i++) {
    const slot = slotOf(Buffer.from(`key:${i}`));
    if (slot >= start && slot <= end) return `key:${i}`;
  }
}

async function served(client: GearmeshClient): Promise<unknown[]> {
  return (await client.list()).map(({ name, revision, hash }) => [name, revision, hash]);
}

test("a shard that is added serves the newest libraries whenever its health says SERVING", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 2 });
  const [first] = cluster.nodes;
  if (!first) return t.fail();
  await using client = connect({ address: first.coordinator.address, token: cluster.token });
  const load = (name: string, version: number) =>
    client.load(library(name), { config: { version }, replace: true, timeoutMs: 20_000 });
  for (const version of [1, 2]) await load("twice", version);
  await load("once", 1);
  await load("gone", 1);
  await client.delete("gone");
  const key = keyIn(MOVED);
  t.deepEqual(await client.call("twice.write", { keys: [key], args: ["before"] }), ["OK", 2n]);

  const added = await cluster.addMaster();
  await using newcomer = connect({ address: added.coordinator.address, token: cluster.token });
  const call = async () => [
    await served(newcomer),
    await newcomer.call("twice.version"),
    await newcomer.call("once.version"),
  ];
  {
    await using watch = watchHealth({ client: newcomer, redisPort: added.redis.port, call });
    await added.coordinator.start();
    const taken = () => watch.samples.filter(({ isServing }) => isServing);
    await eventually(() => taken().length >= TIMES, { what: "a healthy newcomer" });
    const expected = [await served(client), 2n, 1n];
    for (const { outcome } of taken()) t.deepEqual(outcome, expected);
    t.false(watch.samples[0]?.isServing);
  }

  await load("once", 2);
  t.is(await newcomer.call("once.version"), 2n, "a master without slots is told of loads");
  await cluster.moveSlots(MOVED, first, added);
  const redis = new Redis(added.redis.port);
  t.teardown(() => redis.disconnect());
  t.is(await redis.get(key), "before", "the keys have moved with their slots");
  await load("twice", 3);
  const write = () => newcomer.call("twice.write", { keys: [key], args: ["after"] });
  t.deepEqual(await eventually(write, { what: "a call with a key on the new shard" }), ["OK", 3n]);
  t.is(await redis.get(key), "after");
  const read = () => client.call("twice.read", { args: [key] });
  t.is(await eventually(read, { what: "the new shard, found by the others" }), "after");
});
