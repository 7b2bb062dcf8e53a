import test from "ava";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import { writeKeys } from "../../src/redis/write-keys.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf } from "../support/fault-of.ts";
import { metricOf } from "../support/metrics-of.ts";
import { sharedCluster } from "../support/shared-cluster.ts";
import { StorageWatcher } from "../support/storage-watcher.ts";

/** So seldom that only a reason makes a node look. */
const SELDOM = { GEARMESH_STORAGE_WATCH_CHECK_MS: "3600000" };

const { cluster, clients, client } = sharedCluster({ shards: 3, env: SELDOM });

test("a watcher of a prefix sees the state, and then each change, from whichever node it comes", async (t) => {
  await client(0).storage.put("seen/before", 1);
  await client(1).storage.put("not seen", 1);
  await using watcher = await StorageWatcher.open(client(1), { prefix: "seen/" });
  t.deepEqual(
    watcher.events.map(({ kind }) => kind),
    ["put", "synced"],
  );
  const expected: Record<string, unknown> = { "seen/before": 1 };
  for (let index = 0; index < 12; index++) {
    expected[`seen/${index}`] = { index };
    await client(index).storage.put(`seen/${index}`, { index });
  }
  await watcher.sees(expected);
  for (const index of [0, 1, 2]) {
    await client(index).storage.delete(`seen/${index + 5}`);
    delete expected[`seen/${index + 5}`];
    const { revision = 0 } = (await client(index).storage.get("seen/before")) ?? {};
    t.true((await client(index).storage.compareAndSet("seen/before", revision, index + 2)).written);
  }
  expected["seen/before"] = 4;
  await watcher.sees(expected);
  t.deepEqual(watcher.disorder, []);
});

test("a watcher of one key sees it come and go", async (t) => {
  await using watcher = await StorageWatcher.open(client(2), { key: "one" });
  t.deepEqual(watcher.events, [{ kind: "synced" }]);
  const written = await client(0).storage.put("one", "there");
  await watcher.sees({ one: "there" });
  await client(0).storage.put("one/more", "not watched");
  const deleted = await client(1).storage.delete("one");
  await watcher.sees({});
  t.deepEqual(watcher.events.slice(1), [
    { kind: "put", key: "one", revision: written.revision, value: "there", leaseId: undefined },
    { kind: "deleted", key: "one", revision: deleted.revision },
  ]);
});

test("between the state and the changes nothing is lost, however much is written meanwhile", async (t) => {
  const keys = Array.from({ length: 40 }, (_, index) => `busy/${index}`);
  let isOver = false;
  const write = async ({ storage }: GearmeshClient, own: readonly string[]): Promise<void> => {
    for (let round = 0; !isOver; round++) {
      for (const key of own) await (round % 3 === 2 ? storage.delete(key) : storage.put(key, round));
    }
  };
  const writing = clients().map((each, index) =>
    write(
      each,
      keys.filter((_, position) => position % 3 === index),
    ),
  );
  await using stack = new AsyncDisposableStack();
  const watchers: StorageWatcher[] = [];
  for (let index = 0; index < 9; index++) {
    watchers.push(stack.use(await StorageWatcher.open(client(index), { prefix: "busy/" })));
  }
  isOver = true;
  await Promise.all(writing);
  const entries = await Array.fromAsync(client(0).storage.list({ prefix: "busy/" }));
  const expected = Object.fromEntries(entries.map(({ key, value }) => [key, value]));
  for (const watcher of watchers) {
    await watcher.sees(expected);
    t.deepEqual(watcher.disorder, []);
  }
});

test("a watcher sees keys go with their lease, although nobody deletes them", async (t) => {
  await using watcher = await StorageWatcher.open(client(0), { prefix: "leased/" });
  const { leaseId } = await client(1).storage.grantLease(5000);
  for (const index of [0, 1, 2]) await client(index).storage.put(`leased/${index}`, index, { leaseId });
  await eventually(() => watcher.events.filter(({ kind }) => kind === "deleted").length === 3, { what: "their end" });
  await watcher.sees({});
  t.deepEqual(watcher.disorder, []);
});

test("a watcher that reads too slowly is told so, and shown the whole state anew", async (t) => {
  const node = cluster().nodes[0]?.coordinator;
  if (!node) return t.fail();
  const value = "x".repeat(300_000);
  const events = client(0).storage.watch({ prefix: "slow/" });
  t.deepEqual((await events.next()).value, { kind: "synced" });
  for (let index = 0; index < 60; index++) await client(index).storage.put(`slow/${index}`, value);
  const isMissed = async () => (await metricOf(node, "gearmesh_storage_missed_total")) > 0;
  await eventually(isMissed, { what: "changes that are dropped" });
  await client(1).storage.delete("slow/7");
  const seen = new Set<string>();
  let missed = 0;
  for await (const event of events) {
    if (event.kind === "missed") {
      seen.clear();
      missed += event.count;
    }
    if (event.kind === "put") seen.add(event.key);
    if (event.kind === "deleted") seen.delete(event.key);
    if (event.kind === "synced" && seen.size === 59) break;
  }
  t.true(missed > 0);
  t.false(seen.has("slow/7"));
  await Promise.all(Array.from({ length: 60 }, (_, index) => client(index).storage.delete(`slow/${index}`)));
});

test("what no node told of is seen all the same: one key soon, and a prefix where a link is lost", async (t) => {
  await using own = await startTestCluster(t, { shards: 2, env: SELDOM });
  const [first, second] = own.nodes;
  if (!first || !second) return t.fail();
  await using watching = connect({ address: second.coordinator.address, token: own.token });
  await using key = await StorageWatcher.open(watching, { key: "quiet/1" });
  await using prefix = await StorageWatcher.open(watching, { prefix: "quiet/" });
  await watching.storage.put("quiet/0", 0);
  await prefix.sees({ "quiet/0": 0 });
  // As a node leaves it that dies between a write and the news of it.
  const payload = "\x12\x011";
  const quiet = new Map(["quiet/1", "quiet/2"].map((each) => [`gearmesh:value:${each}`, `1::${payload}`]));
  await writeKeys(first.redis, quiet);
  await key.sees({ "quiet/1": 1 });
  await first.coordinator.kill("SIGKILL");
  await prefix.sees({ "quiet/0": 0, "quiet/1": 1, "quiet/2": 1 });
  await first.coordinator.start();
  await using writing = connect({ address: first.coordinator.address, token: own.token });
  await writing.storage.delete("quiet/0");
  await writing.storage.put("quiet/3", 3);
  await prefix.sees({ "quiet/1": 1, "quiet/2": 1, "quiet/3": 3 });
  t.deepEqual(prefix.disorder, []);
});

test("a watch ends with a code: of what cannot be watched, and where its node goes", async (t) => {
  const open = (target: object) =>
    client(0)
      .storage.watch(target as { readonly key: string })
      .next();
  t.is((await faultOf(open({}))).code, "INVALID_ARGUMENT");
  t.is((await faultOf(open({ key: "" }))).code, "INVALID_ARGUMENT");
  t.is((await faultOf(open({ prefix: "x".repeat(1025) }))).code, "INVALID_ARGUMENT");

  await using own = await startTestCluster(t, { shards: 1, env: { GEARMESH_STORAGE_MAX_WATCHED_KEYS: "10" } });
  const node = own.nodes[0]?.coordinator;
  if (!node) return t.fail();
  await using watching = connect({ address: node.address, token: own.token });
  await using watcher = await StorageWatcher.open(watching, { prefix: "" });
  await using other = await StorageWatcher.open(watching, { key: "7" });
  for (let index = 0; index < 10; index++) await watching.storage.put(String(index), index);
  await eventually(() => watcher.values.size === 10, { what: "ten keys" });
  await watching.storage.put("one more", 1);
  await eventually(() => watcher.fault, { what: "the end of the watch" });
  t.is((await faultOf(Promise.reject(watcher.fault))).code, "RESOURCE_EXHAUSTED");
  await other.sees({ 7: 7 });
  t.is(await metricOf(node, "gearmesh_storage_watches"), 1);
  t.is(await metricOf(node, "gearmesh_storage_watched_keys"), 1);
  await node.stop();
  await eventually(() => other.fault, { what: "the end of the watch" });
  t.is((await faultOf(Promise.reject(other.fault))).code, "UNAVAILABLE");
});
