import test from "ava";
import { Fault } from "../../src/base/fault.ts";
import { connect } from "../../src/client/client.ts";
import { startTestCluster } from "../support/cluster.ts";

const ATTEMPTS = 5;

/** A library that registers these methods. */
function library(name: string, ...methods: readonly string[]): string {
  const registrations = methods.map((method) => `redis.registerRpcMethod("${method}", async () => "${name}");`);
  return [`#!js name=${name}`, ...registrations].join("\n");
}

test("a method's name is one library's on every shard, and every coordinator lists it", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 2 });
  const [node, other] = cluster.nodes;
  if (!node || !other) return t.fail();
  await using client = connect({ address: node.coordinator.address, token: cluster.token });
  await using elsewhere = connect({ address: other.coordinator.address, token: cluster.token });

  await client.load(library("first", "room.join", "shared"));
  for (const each of [client, elsewhere]) {
    const [listed] = await each.list({ library: "first" });
    t.like(listed, { rpcMethods: ["room.join", "shared"], functions: [], remoteFunctions: [] });
    const none = { calls: 0, errors: 0, totalSeconds: 0 };
    t.deepEqual(listed?.rpcCounters, [none, none]);
    const fault = await t.throwsAsync(each.load(library("second", "own", "shared")), { instanceOf: Fault });
    t.like(fault, {
      code: "LIBRARY_REFUSED",
      message: "RPC method shared already exists: library first registered it",
    });
  }
  t.deepEqual(await client.list({ library: "second" }), []);

  await elsewhere.load(library("first", "room.join"), { replace: true });
  await client.load(library("second", "own", "shared"));
  const rollback = await t.throwsAsync(client.rollback("first"), { instanceOf: Fault });
  t.is(rollback?.message, "RPC method shared already exists: library second registered it");
  await elsewhere.delete("second");
  await client.rollback("first");
});

test("of two libraries that are loaded at the same time with one method, one at most is, and every coordinator agrees", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 2 });
  await using stack = new AsyncDisposableStack();
  const clients = cluster.nodes.map(({ coordinator: { address } }) =>
    stack.use(connect({ address, token: cluster.token })),
  );
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const names = ["first", "second"].map((name) => `${name}${attempt}`);
    const loads = names.map((name, index) => clients[index]?.load(library(name, `method${attempt}`)));
    const outcomes = await Promise.allSettled(loads);
    const loaded = names.filter((_name, index) => outcomes[index]?.status === "fulfilled");
    t.true(loaded.length <= 1, loaded.join());
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") t.is(Fault.from(outcome.reason).code, "LIBRARY_REFUSED");
    }
    t.log(loaded.join() || "each met the other");
    for (const client of clients) {
      const listed = (await client.list()).map(({ name }) => name).filter((name) => names.includes(name));
      t.deepEqual(listed, loaded);
    }
  }
});
