import test from "ava";
import { connect } from "../../src/client/client.ts";
import type { ClusterOptions } from "../../src/dev/cluster.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { keyOn } from "../support/keys.ts";

const LIBRARY = `#!js name=lib
redis.register_remote_function("get", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_function("set", (client, key, value) => client.call("set", key, value));
redis.register_async_function("read", async (client, key) => client.runOnKey(key, { function: "get", timeoutMs: 20000 }, key));
redis.register_async_function("masters", async (client) => (await client.runOnShards("get", "x")).snapshot.masters);
`;

/** How nodes may want to be reached, and the host that coordinators then know them by. */
const WAYS: readonly [what: string, host: string, options: Partial<ClusterOptions>][] = [
  ["IPv6", "::1", { network: () => ({ host: "::1" }), coordinatorHost: "::1" }],
  [
    "host names",
    "localhost",
    { redisConfig: { "cluster-announce-hostname": "localhost", "cluster-preferred-endpoint-type": "hostname" } },
  ],
  // Each node leaves out where the others are: it is the host by which it was reached itself.
  ["no host at all", "127.0.0.1", { redisConfig: { "cluster-preferred-endpoint-type": "unknown-endpoint" } }],
];

for (const [what, host, options] of WAYS) {
  test.serial(
    `a cluster whose nodes tell ${what} is linked, calls cross it, and slots that move are followed`,
    async (t) => {
      await using cluster = await startTestCluster(t, { shards: 3, ...options });
      const [first, second] = cluster.nodes;
      if (!first || !second) return t.fail();
      await using client = connect({ address: first.coordinator.address, token: cluster.token });
      await client.load(LIBRARY);
      for (const node of cluster.nodes) {
        const key = keyOn(cluster, node);
        t.is(await client.call("lib.set", { keys: [key], args: ["value"] }), "OK");
        t.is(await client.call("lib.read", { args: [key] }), "value");
      }
      const { shards } = await client.topology();
      t.deepEqual(
        shards.map((shard) => [shard.host, shard.port]),
        cluster.nodes.map(({ redis: { port } }) => [host, port]),
      );
      t.is(((await client.call("lib.masters")) as string[]).length, 3);

      const key = keyOn(cluster, second);
      const { slot } = await client.locateKey(key);
      await cluster.moveSlots({ start: slot, end: slot }, second, first);
      await using asked = connect({ address: second.coordinator.address, token: cluster.token });
      t.is(await asked.call("lib.read", { args: [key], timeoutMs: 20_000 }), "value");
      await eventually(async () => (await asked.locateKey(key)).shard.port === first.redis.port, {
        what: "the new owner",
      });
    },
  );
}
