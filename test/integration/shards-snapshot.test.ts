import test from "ava";
import { Redis } from "ioredis";
import { connect } from "../../src/client/client.ts";
import type { ClusterNode } from "../../src/dev/cluster.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { keyOn } from "../support/keys.ts";

/** No coordinator learns of a change but by RefreshCluster. */
const ENV = { GEARMESH_TOPOLOGY_INTERVAL_MS: "3600000", GEARMESH_LEASE_MS: "0" };

/** `count` waits for a key, so that a call of every shard is under way for as long as the test likes. */
const LIBRARY = `#!js name=lib
redis.register_remote_function("exists", async (client, key) => client.block((c) => c.call("exists", key)) === 1n);
redis.register_remote_function("count", async (client, key) => {
  while (!(await client.runOnKey(key, "exists", key)));
  return Number(client.block((c) => c.call("dbsize")));
});
redis.register_async_function("countAll", async (client, key, rerun) => {
  const target = { function: "count", timeoutMs: 20_000, rerunOnChange: rerun === "yes" };
  const reply = await client.runOnShards(target, key);
  return { results: reply[0].length, errors: reply[1], ...reply.snapshot };
});
`;

interface Reply {
  readonly results: bigint;
  readonly errors: readonly string[];
  readonly version: bigint;
  readonly masters: readonly string[];
  readonly hasChanged: boolean;
}

async function isBusy({ coordinator }: ClusterNode): Promise<boolean> {
  const metrics = await (await fetch(`http://${coordinator.opsAddress}/metrics`)).text();
  return /^gearmesh_calls_in_flight\{kind="remote"\} [1-9]/m.test(metrics);
}

test("a call of every shard names the masters it went to, says where they changed, and is made anew if it should", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 3, env: ENV });
  const [first, second] = cluster.nodes;
  if (!first || !second) return t.fail();
  await using client = connect({ address: first.coordinator.address, token: cluster.token });
  await client.load(LIBRARY);
  using redis = { client: new Redis(second.redis.port), [Symbol.dispose]: () => redis.client.disconnect() };
  const key = keyOn(cluster, second);
  const masters = cluster.nodes.map(({ redis: { host, port } }) => `${host}:${port}`);
  const countAll = async (rerun: "yes" | "no"): Promise<Reply> => {
    const reply = await client.call("lib.countAll", { args: [key, rerun], timeoutMs: 30_000 });
    return Object.fromEntries(reply as Map<string, unknown>) as unknown as Reply;
  };
  /** Moves a slot while a call waits on the second shard. */
  const countWhileMoving = async (slot: number, rerun: "yes" | "no"): Promise<Reply> => {
    await redis.client.del(key);
    const reply = countAll(rerun);
    await eventually(() => isBusy(second), { what: "the call on the second shard" });
    await cluster.moveSlots({ start: slot, end: slot }, first, second);
    await client.refreshCluster();
    await redis.client.set(key, "go");
    return reply;
  };

  await redis.client.set(key, "go");
  const { version } = await client.topology();
  t.like(await countAll("no"), { results: 3n, errors: [], version: BigInt(version), masters, hasChanged: false });

  t.like(await countWhileMoving(100, "no"), { results: 3n, version: BigInt(version), masters, hasChanged: true });
  const next = await client.topology();
  t.true(next.version > version);

  const rerun = await countWhileMoving(102, "yes");
  t.like(rerun, { results: 3n, masters, hasChanged: false });
  t.is(rerun.version, BigInt((await client.topology()).version));
  t.true(rerun.version > BigInt(next.version));
});
