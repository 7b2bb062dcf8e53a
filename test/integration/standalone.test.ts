import test from "ava";
import { connect } from "../../src/client/client.ts";
import { RespConnection } from "../../src/redis/resp-connection.ts";
import { startTestCluster } from "../support/cluster.ts";

const LIBRARY = `#!js name=alone
redis.register_remote_function("get", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_function("set", (client, key, value) => client.call("set", key, value));
redis.register_async_function("one", async (client, key) => client.run_on_key(key, "get", key));
redis.register_async_function("all", async (client, key) => client.run_on_all_shards("get", key));
`;

test("a Redis without cluster mode is one shard with every slot", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 1, redisMode: "standalone" });
  const [node] = cluster.nodes;
  if (!node) return t.fail();
  await using client = connect({ address: node.coordinator.address, token: cluster.token });
  await client.load(LIBRARY);
  for (const key of ["a", "b", "{a}b"]) {
    t.is(await client.call("alone.set", { keys: [key], args: [`value of ${key}`] }), "OK");
    t.is(await client.call("alone.one", { args: [key] }), `value of ${key}`);
    t.deepEqual(await client.call("alone.all", { args: [key] }), [[`value of ${key}`], []]);
  }
  const { shards, role } = await client.topology();
  t.is(role, "active");
  t.deepEqual(
    shards.map(({ slots }) => slots),
    [[{ start: 0, end: 16_383 }]],
  );
});

test("a coordinator and its functions reach their Redis by its Unix socket where they are told of one", async (t) => {
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
});
