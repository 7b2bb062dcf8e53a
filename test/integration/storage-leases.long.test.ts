import test from "ava";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import { askRedis } from "../../src/dev/inline-command.ts";
import { writeKeys } from "../../src/redis/write-keys.ts";
import { grantLeaseRequest } from "../../src/storage/storage-codec.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf, faultText } from "../support/fault-of.ts";
import { metricOf } from "../support/metrics-of.ts";
import { grpcMessage, rawCall } from "../support/raw-rpc.ts";
import { sharedCluster } from "../support/shared-cluster.ts";

// One after the other: leases are short, and the machine may be slow.

const { cluster, client } = sharedCluster({ shards: 3 });

/** Writes keys of all shards with a lease, from all nodes. */
async function putWith(leaseId: string, prefix: string): Promise<readonly string[]> {
  const keys = Array.from({ length: 12 }, (_, index) => `${prefix}/${index}`);
  await Promise.all(keys.map((key, index) => client(index).storage.put(key, index, { leaseId })));
  return keys;
}

async function listed(prefix: string): Promise<readonly string[]> {
  return (await Array.fromAsync(client(0).storage.listKeys({ prefix }))).toSorted();
}

test.serial("keys go with their lease, wherever they are, once nobody renews it, and not before", async (t) => {
  const { leaseId, durability } = await client(0).storage.grantLease(3000);
  t.is(durability, "master");
  const keys = await putWith(leaseId, "expiring");
  t.is((await client(1).storage.get("expiring/0"))?.leaseId, leaseId);
  const described = await client(2).storage.lease(leaseId);
  t.is(described.ttlMs, 3000);
  t.true(described.remainingMs > 0 && described.remainingMs <= 3000);
  t.deepEqual(described.keys.toSorted(), keys.toSorted());

  const startedAtMs = performance.now();
  await eventually(
    async () => {
      t.is((await client(1).storage.renewLease(leaseId)).ttlMs, 3000);
      t.is((await listed("expiring/")).length, keys.length);
      return performance.now() - startedAtMs > 4500;
    },
    { what: "more than the lifetime of the lease" },
  );
  await eventually(async () => (await listed("expiring/")).length === 0, { what: "the end of the keys" });
  t.is((await faultOf(client(0).storage.renewLease(leaseId))).code, "UNKNOWN_LEASE");
  t.is((await faultOf(client(1).storage.lease(leaseId))).code, "UNKNOWN_LEASE");
  t.is((await faultOf(client(2).storage.revokeLease(leaseId))).code, "UNKNOWN_LEASE");
  t.is((await faultOf(client(2).storage.put("expiring/0", 1, { leaseId }))).code, "UNKNOWN_LEASE");
  t.is((await faultOf(client(2).storage.compareAndSet("expiring/0", 0, 1, { leaseId }))).code, "UNKNOWN_LEASE");
  t.is(await client(0).storage.get("expiring/0"), undefined);
});

test.serial("a lease that is revoked takes its keys along, and those alone that are still its own", async (t) => {
  const { storage } = client(0);
  const [{ leaseId }, other] = await Promise.all([storage.grantLease(60_000), storage.grantLease(60_000)]);
  const keys = await putWith(leaseId, "revoked");
  const written = await storage.put("revoked/0", "for good");
  await storage.put("revoked/1", "another lease's", { leaseId: other.leaseId });
  await storage.delete("revoked/2");
  await storage.put("revoked/3", "again", { leaseId });
  t.deepEqual(await client(1).storage.revokeLease(leaseId), { deleted: keys.length - 3, pending: 0 });
  t.deepEqual(await listed("revoked/"), ["revoked/0", "revoked/1"]);
  t.deepEqual(await storage.get("revoked/0"), {
    key: "revoked/0",
    value: "for good",
    revision: written.revision,
    leaseId: undefined,
  });
  t.deepEqual(await client(2).storage.revokeLease(other.leaseId), { deleted: 1, pending: 0 });
  t.deepEqual(await listed("revoked/"), ["revoked/0"]);
});

test.serial("of those who want a lock one has it at a time, and one who is gone loses it", async (t) => {
  let holders = 0;
  let held = 0;
  const contend = async ({ storage }: GearmeshClient, isGone: boolean): Promise<void> => {
    const { leaseId } = await storage.grantLease(3000);
    const takes = async () => {
      await storage.renewLease(leaseId);
      return (await storage.compareAndSet("lock", 0, leaseId, { leaseId })).written;
    };
    await eventually(takes, { what: "the lock" });
    t.is(++holders, 1);
    held++;
    t.is((await storage.get("lock"))?.value, leaseId);
    holders--;
    if (!isGone) await storage.revokeLease(leaseId);
  };
  await Promise.all(Array.from({ length: 6 }, (_, index) => contend(client(index), index < 2)));
  t.is(held, 6);
});

test.serial("what is no lifetime is refused, also from those who do not use this client", async (t) => {
  const { storage } = client(0);
  for (const ttlMs of [0, -1, 1.5, 999, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "5000" as unknown as number]) {
    t.regex(await faultText(storage.grantLease(ttlMs)), /^INVALID_ARGUMENT: .*whole number of milliseconds from 1000/);
  }
  const address = cluster().nodes[0]?.coordinator.address ?? "";
  const negative = Buffer.from([0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
  for (const body of [Buffer.alloc(0), grantLeaseRequest.encode({ ttlMs: 2 ** 52 }), negative]) {
    const path = "/gearmesh.v1.StorageService/GrantLease";
    t.is((await rawCall(address, path, grpcMessage(body), { token: cluster().token })).code, "INVALID_ARGUMENT");
  }
});

test.serial("a lease has 1,024 keys at most", async (t) => {
  await using stream = client(0).stream();
  const { leaseId } = await stream.storage.grantLease(60_000);
  const puts = Array.from({ length: 1024 }, (_, index) => stream.storage.put(`full/${index}`, index, { leaseId }));
  await Promise.all(puts);
  t.is((await faultOf(stream.storage.put("full/more", 1, { leaseId }))).code, "RESOURCE_EXHAUSTED");
  t.is(await stream.storage.get("full/more"), undefined);
  // What it has may be written again.
  t.is((await stream.storage.put("full/0", "again", { leaseId })).durability, "master");
  t.deepEqual(await stream.storage.revokeLease(leaseId), { deleted: 1024, pending: 0 });
  t.deepEqual(await listed("full/"), []);
});

test.serial("a key whose lease Redis has lost goes once somebody reads it", async (t) => {
  const { storage } = client(0);
  const { leaseId } = await storage.grantLease(60_000);
  await storage.put("orphan", 1, { leaseId });
  // A lease like it, of which only the key knows.
  const lost = "0123abcd-0000-4000-8000-000000000000";
  const node = cluster().nodes[0]?.redis;
  if (!node) return t.fail();
  const payload = "\x12\x011";
  await writeKeys(node, new Map([["gearmesh:value:lost", `1:${lost}.1:${payload}`]]));
  t.is((await storage.get("lost"))?.leaseId, lost);
  await eventually(async () => (await storage.get("lost")) === undefined, { what: "the end of the key" });
  t.is((await storage.get("orphan"))?.value, 1);
  await storage.revokeLease(leaseId);
});

test.serial("leases are counted", async (t) => {
  const node = cluster().nodes[1]?.coordinator;
  if (!node) return t.fail();
  const { leaseId } = await client(0).storage.grantLease(60_000);
  await eventually(async () => (await metricOf(node, "gearmesh_storage_leases")) >= 1, { what: "the lease" });
  const revoked = () => metricOf(node, 'gearmesh_storage_leases_ended_total{how="revoked"}');
  const before = await revoked();
  await client(1).storage.revokeLease(leaseId);
  t.true((await revoked()) > before);
});

test.serial("a lease ends also where the node that granted it is dead, and where Redis was full", async (t) => {
  await using own = await startTestCluster(t, { shards: 2 });
  const [first, second] = own.nodes;
  if (!first || !second) return t.fail();
  await using granting = connect({ address: first.coordinator.address, token: own.token });
  await using staying = connect({ address: second.coordinator.address, token: own.token });
  const { leaseId } = await granting.storage.grantLease(3000);
  const keys = Array.from({ length: 10 }, (_, index) => `left/${index}`);
  await Promise.all(keys.map((key) => granting.storage.put(key, 1, { leaseId })));
  await first.coordinator.kill("SIGKILL");
  const left = () => Array.fromAsync(staying.storage.listKeys({ prefix: "left/" }));
  await eventually(async () => (await left()).length === 0, { what: "the end of the keys" });

  const kept = await staying.storage.grantLease(3000);
  await Promise.all(keys.map((key) => staying.storage.put(key, 1, { leaseId: kept.leaseId })));
  await Promise.all(own.nodes.map(({ redis }) => limitMemory(redis.port, "1")));
  const startedAtMs = performance.now();
  await eventually(
    async () => {
      await staying.storage.renewLease(kept.leaseId);
      return performance.now() - startedAtMs > 4500;
    },
    { what: "more than the lifetime of the lease" },
  );
  t.is((await left()).length, keys.length);
  t.is((await faultOf(staying.storage.grantLease(2000))).code, "RESOURCE_EXHAUSTED");
  await eventually(async () => (await left()).length === 0, { what: "the end of the keys" });
  await Promise.all(own.nodes.map(({ redis }) => limitMemory(redis.port, "0")));
  t.is((await staying.storage.grantLease(2000)).durability, "master");
});

async function limitMemory(port: number, bytes: string): Promise<void> {
  const answer = await askRedis({ host: "127.0.0.1", port }, `CONFIG SET maxmemory ${bytes}`);
  if (answer !== "+OK") throw new Error(`Redis answered ${answer}`);
}
