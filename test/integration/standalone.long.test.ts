import test from "ava";
import { Fault } from "../../src/base/fault.ts";
import { connect } from "../../src/client/client.ts";
import type { ClusterTopology } from "../../src/client/topology.ts";
import { RespConnection } from "../../src/redis/resp-connection.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";

const LIBRARY = `#!js name=alone
redis.register_remote_function("get", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_function("set", (client, key, value) => client.call("set", key, value));
redis.register_function("version", () => redis.config.version);
redis.register_async_function("one", async (client, key) => client.run_on_key(key, "get", key));
redis.register_async_function("all", async (client, key) => client.run_on_all_shards("get", key));
redis.register_async_function("forever", async (client, key) => { for (;;) await client.run_on_key(key, "get", key); });
redis.register_function("later", (client, key, value) => {
  client.executeAsync(async (client) => client.block((c) => c.call("set", key, value)));
});
`;

/** A Redis alone, without cluster mode and with it, as one node that has all slots. */
for (const [redisMode, mode] of [
  ["standalone", "auto"],
  ["standalone", "manual"],
  ["cluster", "auto"],
  ["cluster", "manual"],
] as const) {
  test.serial(
    `one ${redisMode} Redis, ${mode} mode: it is one shard with every slot, and all that works on many works on it`,
    async (t) => {
      await using cluster = await startTestCluster(t, { shards: 1, redisMode, mode });
      const [node] = cluster.nodes;
      if (!node) return t.fail();
      await using client = connect({ address: node.coordinator.address, token: cluster.token });
      t.like(await client.load(LIBRARY, { config: { version: 1 } }), { library: "alone", revision: 1, pending: [] });
      await using stream = client.stream();
      for (const key of ["a", "b", "{a}b"]) {
        const value = `value of ${key}`;
        t.is(await client.call("alone.set", { keys: [key], args: [value] }), "OK");
        t.is(await client.call("alone.one", { args: [key] }), value);
        t.deepEqual(await stream.call("alone.all", { args: [key] }), [[value], []]);
      }
      await t.throwsAsync(client.call("alone.set", { keys: ["a", "b"], args: ["x"] }), { message: /{hash tag}/ });
      await client.call("alone.later", { keys: ["later"], args: ["done"] });
      await eventually(async () => (await client.call("alone.one", { args: ["later"] })) === "done", {
        what: "what background work wrote",
      });
      const late = await t.throwsAsync(client.call("alone.forever", { args: ["a"], timeoutMs: 300 }));
      t.is(Fault.from(late).code, "DEADLINE_EXCEEDED");

      const isWhole = ({ shards, role }: ClusterTopology): void => {
        t.is(role, "active");
        t.deepEqual(
          shards.map(({ slots, link }) => [slots, link]),
          [[[{ start: 0, end: 16_383 }], "self"]],
        );
      };
      isWhole(await client.topology());
      for await (const topology of client.watchTopology()) {
        isWhole(topology);
        break;
      }
      const [refreshed, ...others] = await client.refreshCluster();
      t.is(refreshed?.fault, undefined);
      t.is(others.length, 0);
      isWhole(await client.topology());
      t.is((await client.locateKey("{a}b")).slot, (await client.locateKey("a")).slot);

      await client.load(LIBRARY, { config: { version: 2 }, replace: true });
      t.is(await client.call("alone.version"), 2n);
      await client.rollback("alone");
      t.is(await client.call("alone.version"), 1n);
      t.deepEqual(
        (await client.list()).map(({ name, revision }) => [name, revision]),
        [["alone", 3]],
      );
      // It has everything again after its Redis, or the coordinator, was away.
      await node.coordinator.restart();
      t.is(await client.call("alone.version"), 1n);
      await node.redis.restart();
      const isServing = async () =>
        (await client.health()) === "serving" && (await client.call("alone.version")) === 1n;
      await eventually(isServing, { what: "the library on a Redis that came back empty" });
      // A Redis in cluster mode takes no writes for its first seconds.
      await eventually(() => client.delete("alone"), { what: "a Redis that takes writes again" });
      t.deepEqual(await client.list(), []);
    },
  );
}

test.serial(
  "a coordinator and its functions reach their Redis by its Unix socket where they are told of one",
  async (t) => {
    await using cluster = await startTestCluster(t, { shards: 1 });
    const [node] = cluster.nodes;
    if (!node) return t.fail();
    const connection = new RespConnection(node.redis, { name: "gearmesh:test" });
    connection.connect();
    await connection.whenReady();
    const clients = String(await connection.command(["CLIENT", "LIST"]))
      .trim()
      .split("\n");
    connection.close();
    const ours = clients.filter((line) => /name=gearmesh:(gearmesh|store)/.test(line));
    t.true(ours.length >= 3, clients.join("\n"));
    for (const line of ours) t.true(line.includes(`laddr=${node.redis.socketPath}:0`), line);
  },
);
