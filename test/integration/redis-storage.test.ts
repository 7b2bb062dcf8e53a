import { Buffer } from "node:buffer";
import test from "ava";
import { formCluster } from "../../src/redis/form-cluster.ts";
import { slotOf } from "../../src/redis/key-slot.ts";
import { RedisNameRegistry } from "../../src/redis/name-registry.ts";
import { RedisRecordStore } from "../../src/redis/record-store.ts";
import { ReplicaConfirmation } from "../../src/redis/replica-confirmation.ts";
import { RespConnection } from "../../src/redis/resp-connection.ts";
import { StoreClient } from "../../src/redis/store-client.ts";
import type { NameClaim } from "../../src/storage/records.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf } from "../support/fault-of.ts";
import { type LocalRedis, startRedis, startRedises } from "./local-redis.ts";

const NAMESPACE = "test";

function storeBeside(redis: LocalRedis, replicaTimeoutMs?: number) {
  const client = new StoreClient(redis, () => undefined);
  return {
    records: new RedisRecordStore(client, NAMESPACE, new ReplicaConfirmation(replicaTimeoutMs)),
    names: new RedisNameRegistry(client, NAMESPACE),
    [Symbol.asyncDispose]: () => client.close(),
  };
}

function record(revision: number, text: string) {
  return { revision, value: Buffer.from(text) };
}

async function ask(node: LocalRedis, ...command: string[]): Promise<string> {
  const connection = new RespConnection(node, { name: "gearmesh:test" });
  try {
    connection.connect();
    await connection.whenReady();
    return String(await connection.command(command));
  } finally {
    connection.close();
  }
}

async function ownerOf(nodes: readonly LocalRedis[], key: string): Promise<LocalRedis> {
  for (const node of nodes) {
    if (!(await ask(node, "EXISTS", key).then((reply) => reply, String)).includes("MOVED")) return node;
  }
  throw new Error("no owner");
}

test("a record is the same from every node of the cluster", async (t) => {
  await using cluster = await startRedises(3, { cluster: true });
  await formCluster(cluster.nodes);
  const binary = { revision: 2, value: Buffer.from([0, 255, 10, 13, 58]) };
  for (const [index, node] of cluster.nodes.entries()) {
    await using store = storeBeside(node);
    const { records } = store;
    const collection = `c${index}`;
    t.is(await records.get(collection, "a"), undefined);
    t.deepEqual(await records.list(collection), new Map());
    t.true(await records.compareAndSet(collection, "a", 0, record(1, "one")));
    t.false(await records.compareAndSet(collection, "a", 0, record(1, "other")));
    t.true(await records.compareAndSet(collection, "a", 1, binary));
    t.true(await records.compareAndSet(collection, "ü", 0, record(7, "")));
    for (const other of cluster.nodes) {
      await using reader = storeBeside(other);
      t.deepEqual(await reader.records.get(collection, "a"), binary);
      t.deepEqual(
        await reader.records.list(collection),
        new Map([
          ["a", binary],
          ["ü", record(7, "")],
        ]),
      );
    }
  }
});

test("of many writers that expect one revision, one writes", async (t) => {
  await using cluster = await startRedises(3, { cluster: true });
  await formCluster(cluster.nodes);
  const stores = cluster.nodes.map((node) => storeBeside(node));
  t.teardown(() => Promise.all(stores.map((store) => store[Symbol.asyncDispose]())));
  for (let revision = 0; revision < 10; revision++) {
    const written = await Promise.all(
      Array.from({ length: 12 }, async (_, writer) => {
        const store = stores[writer % stores.length];
        return store?.records.compareAndSet("c", "id", revision, record(revision + 1, `writer ${writer}`));
      }),
    );
    t.is(written.filter((won) => won === true).length, 1);
    const winner = written.indexOf(true);
    t.deepEqual(await stores[0]?.records.get("c", "id"), record(revision + 1, `writer ${winner}`));
  }
});

test("records are found while and after their slot moves", async (t) => {
  await using cluster = await startRedises(2, { cluster: true });
  await formCluster(cluster.nodes);
  const key = `${NAMESPACE}:{c}`;
  const slot = String(slotOf(Buffer.from(key)));
  const source = await ownerOf(cluster.nodes, key);
  const target = cluster.nodes.find((node) => node !== source);
  if (!target) return t.fail();
  await using store = storeBeside(source);
  t.true(await store.records.compareAndSet("c", "id", 0, record(1, "one")));
  const [sourceId, targetId] = await Promise.all([source, target].map((node) => ask(node, "CLUSTER", "MYID")));
  await ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", sourceId ?? "");
  await ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", targetId ?? "");
  await ask(source, "MIGRATE", target.host, String(target.port), key, "0", "20000");
  // The slot is still the source's, the key is not: ASK.
  t.deepEqual(await store.records.get("c", "id"), record(1, "one"));
  t.true(await store.records.compareAndSet("c", "id", 1, record(2, "two")));
  for (const node of [target, source]) await ask(node, "CLUSTER", "SETSLOT", slot, "NODE", targetId ?? "");
  t.deepEqual(await store.records.get("c", "id"), record(2, "two"));
  t.true(await store.records.compareAndSet("c", "id", 2, record(3, "three")));
});

test("a write answers once the replica has it; without its word nobody knows", async (t) => {
  await using cluster = await startRedises(2, { cluster: true });
  await formCluster(cluster.nodes, { replicasPerMaster: 1 });
  const [master, replica] = cluster.nodes;
  if (!master || !replica) return t.fail();
  await using patient = storeBeside(master, 20_000);
  await using store = storeBeside(master, 500);
  // Either of them may think so before the other one does.
  const says = async (node: LocalRedis, text: string) => (await ask(node, "INFO", "replication")).includes(text);
  await eventually(async () => (await says(master, "state=online")) && (await says(replica, "link_status:up")), {
    what: "replica in sync",
  });
  t.true(await patient.records.compareAndSet("c", "id", 0, record(1, "one")));
  t.is(await ask(replica, "DBSIZE"), "1");
  replica.process.kill("SIGSTOP");
  t.is((await faultOf(store.records.compareAndSet("c", "id", 1, record(2, "two")))).code, "INDETERMINATE");
  t.deepEqual(await store.records.get("c", "id"), record(2, "two"));
});

test("unavailable and indeterminate are told apart", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  t.true(await store.records.compareAndSet("c", "id", 0, record(1, "one")));
  await ask(redis, "CONFIG", "SET", "maxmemory", "1");
  const refused = await faultOf(store.records.compareAndSet("c", "id", 1, record(2, "two")));
  t.is(refused.code, "RESOURCE_EXHAUSTED");
  t.regex(refused.message, /refused: OOM/);
  await ask(redis, "CONFIG", "SET", "maxmemory", "0");
  redis.process.kill("SIGSTOP");
  const writing = faultOf(store.records.compareAndSet("c", "id", 1, record(2, "two")));
  const reading = faultOf(store.records.get("c", "id"));
  t.is((await writing).code, "INDETERMINATE");
  t.is((await reading).code, "UNAVAILABLE");
  redis.process.kill("SIGKILL");
  await eventually(async () => (await faultOf(store.records.get("c", "id"))).message.includes("ECONNREFUSED"), {
    what: "refused connection",
  });
  t.is((await faultOf(store.records.compareAndSet("c", "id", 2, record(3, "three")))).code, "UNAVAILABLE");
});

test("a closed store is unavailable", async (t) => {
  await using redis = await startRedis();
  const client = new StoreClient(redis, () => undefined);
  await client.close();
  t.is(
    (await faultOf(new RedisRecordStore(client, NAMESPACE, new ReplicaConfirmation()).get("c", "id"))).code,
    "UNAVAILABLE",
  );
});

function claimOf(identity: string, incarnation = "1", startedAtMs = 1, leaseMs = 60_000): NameClaim {
  return { identity, incarnation, startedAtMs, leaseMs, wanted: 0 };
}

test("each identity has the lowest free number, and keeps it", async (t) => {
  await using cluster = await startRedises(3, { cluster: true });
  await formCluster(cluster.nodes);
  const stores = cluster.nodes.map((node) => storeBeside(node));
  t.teardown(() => Promise.all(stores.map((store) => store[Symbol.asyncDispose]())));
  const claims = await Promise.all(
    Array.from({ length: 9 }, async (_, index) => stores[index % 3]?.names.claim(claimOf(`node-${index}`))),
  );
  const numbers = claims.flatMap((claim) => (claim && "number" in claim ? claim.number : []));
  t.deepEqual(
    [...numbers].sort((a, b) => a - b),
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  for (let index = 0; index < 9; index++) {
    t.deepEqual(await stores[0]?.names.claim(claimOf(`node-${index}`)), claims[index]);
  }
});

test("a new incarnation gets the number it wants where that is free, and keeps its own where it is not", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const { names } = store;
  t.deepEqual(await names.claim({ ...claimOf("b"), wanted: 2 }), { number: 2 });
  t.deepEqual(await names.claim({ ...claimOf("a"), wanted: 2 }), { number: 1 });
  await names.release(claimOf("b"));
  // To renew is no start: names do not change under those who have them.
  t.deepEqual(await names.claim({ ...claimOf("a"), wanted: 2 }), { number: 1 });
  t.deepEqual(await names.claim({ ...claimOf("a", "2", 2), wanted: 2 }), { number: 2 });
  t.deepEqual(await names.claim(claimOf("b", "2", 2)), { number: 1 });
  t.deepEqual(await names.claim({ ...claimOf("a", "3", 3), wanted: 1 }), { number: 2 });
});

test("a newer incarnation takes the name at once, and the older one learns it", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const { names } = store;
  await names.claim(claimOf("other"));
  t.deepEqual(await names.claim(claimOf("node", "old", 1)), { number: 2 });
  t.deepEqual(await names.claim(claimOf("node", "new", 2)), { number: 2 });
  t.deepEqual(await names.claim(claimOf("node", "old", 1)), { superseded: true });
  // An older one that is left alone with the name may have it again.
  await names.release(claimOf("node", "old", 1));
  t.deepEqual(await names.claim(claimOf("node", "old", 1)), { superseded: true });
  await names.release(claimOf("node", "new", 2));
  t.deepEqual(await names.claim(claimOf("node", "old", 1)), { number: 2 });
  // Two that started in the same millisecond do not take it from each other in turn.
  t.deepEqual(await names.claim(claimOf("node", "older", 1)), { number: 2 });
  t.deepEqual(await names.claim(claimOf("node", "old", 1)), { superseded: true });
});

test("numbers that were released or ran out are given again, to their own identity first", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const { names } = store;
  for (const identity of ["a", "b", "c"]) await names.claim(claimOf(identity));
  await names.release(claimOf("a"));
  await names.release(claimOf("b"));
  t.deepEqual(await names.claim(claimOf("b", "2", 2)), { number: 2 });
  t.deepEqual(await names.claim(claimOf("d")), { number: 1 });
  t.deepEqual(await names.claim(claimOf("a", "2", 2)), { number: 4 });
  await names.claim(claimOf("c", "1", 1, 0));
  t.deepEqual(await names.claim(claimOf("e")), { number: 3 });
  t.deepEqual(await names.claim(claimOf("c", "2", 2)), { number: 5 });
});
