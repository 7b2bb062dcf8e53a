import test from "ava";
import { connect } from "../../src/client/client.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";

const COUNT_SHARDS = `#!js name=count
redis.register_remote_function("one", async () => 1);
redis.register_async_function("shards", async (client) => {
  const [results, errors] = await client.run_on_all_shards("one");
  return [results.length, errors.length];
});`;

test("until RefreshCluster each shard acts as a single instance; one request to one coordinator is enough", async (t) => {
  await using cluster = await startPatientCluster({ shards: 3, mode: "manual" });
  const clients = cluster.nodes.map(({ coordinator }) =>
    connect({ address: coordinator.address, token: cluster.token }),
  );
  t.teardown(() => Promise.all(clients.map((client) => client[Symbol.asyncDispose]())));
  const [first] = clients;
  if (!first) return t.fail();

  await first.load(COUNT_SHARDS);
  t.deepEqual(await first.call("count.shards"), [1n, 0n]);

  const refreshed = await first.refreshCluster();
  t.is(refreshed.length, 3);
  t.true(refreshed.every((shard) => shard.fault === undefined));
  t.is(new Set(refreshed.map((shard) => shard.hash)).size, 1);

  for (const client of clients) {
    const isEverywhere = async () => String(await client.call("count.shards")) === "3,0";
    await eventually(isEverywhere, { what: "the library on every shard" });
    t.deepEqual(await client.call("count.shards"), [3n, 0n]);
  }

  // As the document asks for it: sent to all of them, once more.
  const again = await Promise.all(clients.map((client) => client.refreshCluster()));
  t.true(again.flat().every((shard) => shard.fault === undefined));
  for (const client of clients) t.deepEqual(await client.call("count.shards"), [3n, 0n]);
});
