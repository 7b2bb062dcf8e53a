import test from "ava";
import { Fault } from "../../src/base/fault.ts";
import { connect } from "../../src/client/client.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { keyOn } from "../support/keys.ts";
import { metricOf } from "../support/metrics-of.ts";

const ATTEMPTS = 5;

/** A library that registers these methods. */
function library(name: string, ...methods: readonly string[]): string {
  const registrations = methods.map((method) => `redis.registerRpcMethod("${method}", async () => "${name}");`);
  return [`#!js name=${name}`, ...registrations].join("\n");
}

test.serial("a method's name is one library's on every shard, and every coordinator lists it", async (t) => {
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

test.serial(
  "of two libraries that are loaded at the same time with one method, one at most is, and every coordinator agrees",
  async (t) => {
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
  },
);

const METHODS = `#!js name=methods
redis.register_function("get", (client, key) => client.call("get", key), ["no-writes"]);
redis.register_rpc_method("set", async (client, key, value) => client.block((c) => c.call("set", key, value)));
redis.register_rpc_method("echo", async (client, ...args) => args.length === 1 ? args[0] : args);
redis.register_rpc_method("fail", async () => { throw new TypeError("mine") });
redis.register_rpc_method("loop", async () => { for (;;); });
redis.register_rpc_method("large", async () => "x".repeat(100000));
redis.register_rpc_method("never", async () => new Promise(() => {}));
`;

test.serial(
  "a library's methods are called on all nodes, on one, and by a key, and end with one clear code each",
  async (t) => {
    const env = { GEARMESH_MAX_RESULT_BYTES: "65536", GEARMESH_RUN_TIMEOUT_MS: "2000" };
    await using cluster = await startTestCluster(t, { shards: 2, env });
    const [node, other] = cluster.nodes;
    if (!node || !other) return t.fail();
    await using client = connect({ address: node.coordinator.address, token: cluster.token });
    const unknown = await t.throwsAsync(client.rpc("echo"), { instanceOf: Fault });
    t.is(unknown?.code, "UNKNOWN_METHOD");
    const builtIn = await t.throwsAsync(client.load(library("builtin", "ping")), { instanceOf: Fault });
    t.like(builtIn, { code: "LIBRARY_REFUSED", message: "RPC method ping is built in" });
    await client.load(METHODS);

    const replies = await client.rpc("echo", { args: [{ a: "é" }] });
    t.is(replies.length, 2);
    for (const reply of replies) t.like(reply, { value: { a: "é" } });
    const [bytes] = await client.rpc("echo", { args: [new Uint8Array([0, 255])], wait: "first" });
    t.like(bytes, { value: Buffer.from([0, 255]) });

    for (const owner of [node, other]) {
      const key = keyOn(cluster, owner);
      const [reply] = await client.rpc("set", { args: [key, "written"], target: { key } });
      t.like(reply, { value: "OK" });
      t.is(await client.call("methods.get", { keys: [key] }), "written");
    }

    const target = { key: keyOn(cluster, other) };
    for (const [method, code, text, timeoutMs] of [
      ["fail", "METHOD_FAILED", /^TypeError: mine \(methods:5\) in fail$/, 20_000],
      ["loop", "FUNCTION_TIMEOUT", /without a pause/, 20_000],
      ["large", "RESOURCE_EXHAUSTED", /^the result takes more than 65536 bytes$/, 20_000],
      ["never", "DEADLINE_EXCEEDED", /^RPC Timeout$/, 1000],
    ] as const) {
      const fault = await t.throwsAsync(client.rpc(method, { target, timeoutMs }), { instanceOf: Fault });
      t.is(fault?.code, code, fault?.message);
      t.regex(fault?.message ?? "", text);
    }
    t.is(await metricOf(other.coordinator, 'gearmesh_calls_total{kind="method",code="METHOD_FAILED"}'), 1);
    await eventually(async () => (await metricOf(other.coordinator, 'gearmesh_calls_in_flight{kind="method"}')) === 0, {
      what: "no method under way",
    });

    await using elsewhere = connect({ address: other.coordinator.address, token: cluster.token });
    const [listed] = await elsewhere.list({ library: "methods" });
    const counted = Object.fromEntries((listed?.rpcMethods ?? []).map((name, at) => [name, listed?.rpcCounters[at]]));
    t.like(counted, { fail: { calls: 1, errors: 1 }, set: { calls: 1, errors: 0 } });
  },
);

test.serial("a method runs on a coordinator that stands by too, and its blocks meet the replica", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 1, replicasPerMaster: 1 });
  const [master, replica] = cluster.nodes;
  if (!master || !replica) return t.fail();
  await using client = connect({ address: master.coordinator.address, token: cluster.token });
  await using standby = connect({ address: replica.coordinator.address, token: cluster.token });
  await client.load(METHODS);
  const { nodeName, role } = await standby.topology();
  t.is(role, "standby");
  const target = { node: nodeName };
  // It was not told of the load.
  await eventually(async () => (await standby.list()).length === 1, { what: "the library on the standby" });
  // Nor need its peer know yet what it goes by.
  await eventually(() => client.rpc("ping", { target }), { what: "the name of the standby" });
  for (const each of [client, standby]) {
    t.like((await each.rpc("echo", { args: [1], target }))[0], { node: nodeName, value: 1 });
    t.is((await each.rpc("echo", { args: [1] })).length, 2);
    const fault = await t.throwsAsync(each.rpc("set", { args: ["k", "v"], target }), { instanceOf: Fault });
    t.is(fault?.code, "MOVED", fault?.message);
    t.like((await each.rpc("set", { args: ["k", "v"], target: { key: "k" } }))[0], { value: "OK" });
  }
});
