import test from "ava";
import { Cluster as RedisCluster } from "ioredis";
import { connect } from "../../src/client/client.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { askRedis } from "../../src/dev/inline-command.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { SEED } from "../support/seed-libraries.ts";

let cluster: Cluster;
const KEYS = 300;

test.before(async () => {
  cluster = await startPatientCluster({ shards: 3 });
  const [first] = cluster.nodes;
  const redis = new RedisCluster([{ host: "127.0.0.1", port: first?.redis.port ?? 0 }]);
  await Promise.all(Array.from({ length: KEYS - 1 }, (_, i) => redis.set(`key:${i}`, i)));
  await redis.set("x", "the value of x");
  await redis.quit();
});

test.after.always(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

/** As any Redis client counts them; gearmesh's own records are among them. */
async function totalKeys(): Promise<bigint> {
  const counts = await Promise.all(cluster.nodes.map(({ redis }) => askRedis(redis, "DBSIZE")));
  return counts.reduce((sum, count) => sum + BigInt(count?.slice(1) ?? 0), 0n);
}

test("a library loaded through one coordinator counts all keys from each of the three", async (t) => {
  const [first] = cluster.nodes;
  await using loader = connect({ address: first?.coordinator.address ?? "", token: cluster.token });
  const loaded = await loader.load(SEED.totalKeys);
  t.deepEqual(loaded.pending, []);
  for (const { coordinator } of cluster.nodes) {
    await using client = connect({ address: coordinator.address, token: cluster.token });
    // Records of gearmesh's own come and go between two looks.
    const isSame = async () => (await client.call("lib.test")) === (await totalKeys());
    t.true(await eventually(isSame, { what: "a count that both agree on" }));
  }
});

test("a key is read from its shard, whichever coordinator is asked", async (t) => {
  const [, second] = cluster.nodes;
  await using loader = connect({ address: second?.coordinator.address ?? "", token: cluster.token });
  await loader.load(SEED.remoteGet);
  for (const { coordinator } of cluster.nodes) {
    await using client = connect({ address: coordinator.address, token: cluster.token });
    t.is(await client.call("foo.test"), "the value of x");
  }
});

test("the document's first snippet fails at call time with an error that names the shard and the line", async (t) => {
  const [first] = cluster.nodes;
  await using client = connect({ address: first?.coordinator.address ?? "", token: cluster.token });
  await client.load(SEED.undefinedName);
  const errors = await client.call("first.my_dbsize");
  if (!Array.isArray(errors)) return t.fail(`the function returned ${String(errors)}`);
  t.is(errors.length, 3);
  for (const [index, error] of errors.entries()) {
    t.regex(error, new RegExp(`^shard 127\\.0\\.0\\.1:${cluster.nodes[index]?.redis.port}: `));
    t.regex(error, /client is not defined/);
    t.regex(error, /first:3/);
  }
});
