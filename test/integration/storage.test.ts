import { Buffer } from "node:buffer";
import test from "ava";
import calculateSlot from "cluster-key-slot";
import type { GearmeshClient } from "../../src/client/client.ts";
import type { StoredEntry } from "../../src/client/storage.ts";
import { askRedis } from "../../src/dev/inline-command.ts";
import { faultOf } from "../support/fault-of.ts";
import { metricOf } from "../support/metrics-of.ts";
import { sharedCluster } from "../support/shared-cluster.ts";

const MAX_MESSAGE_BYTES = 1_000_000;

const { cluster, clients, client } = sharedCluster({
  shards: 3,
  env: {
    GEARMESH_STORAGE_MAX_VALUE_BYTES: "100000",
    GEARMESH_STORAGE_MAX_LISTED_KEYS: "150",
    GEARMESH_MAX_MESSAGE_BYTES: String(MAX_MESSAGE_BYTES),
    GEARMESH_MAX_RESULT_BYTES: "100000",
  },
});

async function listed(client: GearmeshClient, prefix: string, limit?: number): Promise<StoredEntry[]> {
  const entries = await Array.fromAsync(client.storage.list({ prefix, ...(limit !== undefined && { limit }) }));
  return entries.toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

test("a value is the same from every node, be it JSON or bytes", async (t) => {
  const values = [null, 0, "text", { deep: [1, { ü: "😀" }] }, Buffer.from([0, 255, 58, 10]), Buffer.alloc(0)];
  for (const [index, value] of values.entries()) {
    const key = `same/${index}: ü {t${index}} *?[x]\\`;
    t.is(await client(index).storage.get(key), undefined);
    const { revision, durability } = await client(index).storage.put(key, value);
    t.is(durability, "master");
    for (const { storage } of clients())
      t.deepEqual(await storage.get(key), { key, revision, value, leaseId: undefined });
  }
});

test("revisions of a key grow with each write, also where it was deleted and made again", async (t) => {
  const key = "growing";
  const revisions: number[] = [];
  for (let round = 0; round < 5; round++) {
    for (const { storage } of clients()) revisions.push((await storage.put(key, round)).revision);
    const deleted = await client(round).storage.delete(key);
    t.true(deleted.written);
    revisions.push(deleted.revision);
    t.is(await client(round + 1).storage.get(key), undefined);
  }
  t.deepEqual(
    revisions,
    [...new Set(revisions)].toSorted((a, b) => a - b),
  );
  t.deepEqual(await client(0).storage.delete(key), { written: false, revision: 0 });
});

test("compare-and-set writes where the revision is the expected one", async (t) => {
  const key = "compared";
  const [a, b] = [client(0).storage, client(1).storage];
  const first = await a.compareAndSet(key, 0, "first");
  t.true(first.written);
  t.deepEqual(await b.compareAndSet(key, 0, "other"), { written: false, revision: first.revision });
  const second = await b.compareAndSet(key, first.revision, "second");
  t.true(second.written);
  t.deepEqual(await a.compareAndSet(key, first.revision, "third"), { written: false, revision: second.revision });
  t.deepEqual(await a.get(key), { key, revision: second.revision, value: "second", leaseId: undefined });
  t.deepEqual(await a.delete(key, { expectedRevision: first.revision }), { written: false, revision: second.revision });
  t.true((await a.delete(key, { expectedRevision: second.revision })).written);
  t.deepEqual(await b.compareAndSet(key, second.revision, "fourth"), { written: false, revision: 0 });
  // Whoever read it before it was deleted and made again with the same value does not win.
  t.true((await b.compareAndSet(key, 0, "second")).written);
  t.false((await a.compareAndSet(key, second.revision, "fifth")).written);
});

test("of many who set at once, from every node, one wins each time: a counter loses nothing", async (t) => {
  const key = "counter";
  await client(0).storage.put(key, 0);
  const increment = async ({ storage }: GearmeshClient): Promise<void> => {
    for (;;) {
      const entry = await storage.get(key);
      if ((await storage.compareAndSet(key, entry?.revision ?? 0, Number(entry?.value) + 1)).written) return;
    }
  };
  await Promise.all(Array.from({ length: 30 }, (_, index) => increment(client(index))));
  t.is((await client(0).storage.get(key))?.value, 30);
});

test("a list has what begins so, from all shards, and each once", async (t) => {
  const keys = Array.from({ length: 100 }, (_, index) => `listed/${index}`);
  await Promise.all(keys.map((key, index) => client(index).storage.put(key, index)));
  await client(0).storage.put("listed", "without the slash");
  await client(0).storage.delete("listed/7");
  const slots = new Set(keys.map((key) => Math.floor((calculateSlot(`gearmesh:value:${key}`) * 3) / 16384)));
  t.is(slots.size, 3);
  const expected = keys.filter((key) => key !== "listed/7").toSorted();
  for (const each of clients()) {
    const entries = await listed(each, "listed/");
    t.deepEqual(
      entries.map(({ key }) => key),
      expected,
    );
    t.true(entries.every(({ key, value }) => key === `listed/${value}`));
    t.deepEqual((await Array.fromAsync(each.storage.listKeys({ prefix: "listed/" }))).toSorted(), expected);
    t.is((await listed(each, "listed/", 17)).length, 17);
  }
  t.deepEqual(await listed(client(0), "listed/*"), []);
});

test("values that together are larger than a message are listed all the same", async (t) => {
  const value = Buffer.alloc(99_000, "x");
  const count = 2 * Math.ceil(MAX_MESSAGE_BYTES / value.length);
  await Promise.all(Array.from({ length: count }, (_, index) => client(index).storage.put(`large/${index}`, value)));
  const entries = await listed(client(0), "large/");
  t.is(entries.filter((entry) => value.equals(entry.value as Buffer)).length, count);
});

test("a list of too many keys says so, and with a limit it is none", async (t) => {
  const call = client(0).stream();
  await Promise.all(Array.from({ length: 151 }, (_, index) => call.storage.put(`many/${index}`, null)));
  const fault = await faultOf(listed(client(0), "many/"));
  t.is(fault.code, "RESOURCE_EXHAUSTED");
  t.regex(fault.message, /storageMaxListedKeys/);
  t.is((await listed(client(0), "many/", 20)).length, 20);
  await call.close();
});

test("keys with one hash tag are on one shard", async (t) => {
  await client(0).storage.put("{user:1}/name", "Ada");
  await client(1).storage.put("{user:1}/born", 1815);
  const slot = calculateSlot("user:1");
  const counts = await Promise.all(
    cluster().nodes.map(({ redis }) => askRedis(redis, `CLUSTER COUNTKEYSINSLOT ${slot}`)),
  );
  t.deepEqual(counts.toSorted(), [":0", ":0", ":2"]);
});

test("all of it goes over a call stream, too", async (t) => {
  await using stream = client(0).stream();
  const writes = await Promise.all(
    Array.from({ length: 50 }, (_, index) => stream.storage.put(`stream/${index}`, index)),
  );
  const entries = await Promise.all(writes.map((_, index) => stream.storage.get(`stream/${index}`)));
  t.deepEqual(
    entries.map((entry) => [entry?.revision, entry?.value]),
    writes.map(({ revision }, index) => [revision, index]),
  );
  t.true((await stream.storage.compareAndSet("stream/0", writes[0]?.revision ?? 0, "set")).written);
  t.true((await stream.storage.delete("stream/0")).written);
  t.is(await stream.storage.get("stream/0"), undefined);
});

test("what is refused names what is wrong, and changes nothing", async (t) => {
  const { storage } = client(0);
  const refusals = [
    ["INVALID_ARGUMENT", /a key is required/, () => storage.put("", 1)],
    ["INVALID_ARGUMENT", /1024 bytes/, () => storage.put("x".repeat(1025), 1)],
    ["INVALID_ARGUMENT", /a key is required/, () => storage.get("")],
    ["INVALID_ARGUMENT", /a key is required/, () => storage.delete("")],
    ["INVALID_ARGUMENT", /no revision/, () => storage.compareAndSet("refused", -1, 1)],
    ["INVALID_ARGUMENT", /no revision/, () => storage.compareAndSet("refused", 1.5, 1)],
    ["INVALID_ARGUMENT", /no revision/, () => storage.delete("refused", { expectedRevision: Number.NaN })],
    ["INVALID_ARGUMENT", /no count/, () => listed(client(0), "refused", 0.5)],
    ["RESOURCE_EXHAUSTED", /storageMaxValueBytes/, () => storage.put("refused", "x".repeat(100_001))],
    ["RESOURCE_EXHAUSTED", /storageMaxValueBytes/, () => storage.compareAndSet("refused", 0, Buffer.alloc(100_001))],
  ] as const;
  for (const [code, text, action] of refusals) {
    const fault = await faultOf(action());
    t.is(fault.code, code);
    t.regex(fault.message, text);
  }
  t.is(await storage.get("refused"), undefined);
});

// Alone: the others delete at that node, too.
test.serial("requests are counted by method and code", async (t) => {
  const node = cluster().nodes[2];
  if (!node) return t.fail();
  const count = (code: string) =>
    metricOf(node.coordinator, `gearmesh_storage_requests_total{method="Delete",code="${code}"}`).catch(() => 0);
  const before = await Promise.all([count("OK"), count("INVALID_ARGUMENT")]);
  await client(2).storage.delete("counted");
  await faultOf(client(2).storage.delete(""));
  const after = await Promise.all([count("OK"), count("INVALID_ARGUMENT")]);
  t.deepEqual(
    after.map((each, index) => each - (before[index] ?? 0)),
    [1, 1],
  );
});
