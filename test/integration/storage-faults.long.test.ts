import test from "ava";
import { monotonicMs } from "../../src/base/deadline.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { askRedis } from "../../src/dev/inline-command.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf, faultText } from "../support/fault-of.ts";

function connected({ nodes, token }: Cluster): GearmeshClient {
  const [node] = nodes;
  if (!node) throw new Error("there is no node");
  return connect({ address: node.coordinator.address, token });
}

test.serial(
  "a Redis that is full, or takes no writes, says so, changes nothing, and is written to as soon as it can be",
  async (t) => {
    await using cluster = await startTestCluster(t, { shards: 1, redisMode: "standalone" });
    await using client = connected(cluster);
    const { storage } = client;
    const [node] = cluster.nodes;
    if (!node) return t.fail();
    const ask = async (command: string) => t.is(await askRedis(node.redis, command), "+OK");
    const kept = await storage.put("kept", "before");
    const doomed = await storage.put("doomed", "before");

    await ask("CONFIG SET maxmemory 1");
    t.regex(await faultText(storage.put("kept", "after")), /^RESOURCE_EXHAUSTED: .*refused: OOM/);
    t.regex(await faultText(storage.compareAndSet("kept", kept.revision, "after")), /^RESOURCE_EXHAUSTED: .*OOM/);
    t.regex(await faultText(storage.put("fresh", "after")), /^RESOURCE_EXHAUSTED: .*OOM/);
    // What gives memory back is not refused.
    const deleted = await storage.delete("doomed");
    t.true(deleted.written && deleted.revision > doomed.revision);
    t.deepEqual(await storage.get("kept"), {
      key: "kept",
      revision: kept.revision,
      value: "before",
      leaseId: undefined,
    });
    t.deepEqual(await Array.fromAsync(storage.listKeys()), ["kept"]);
    await ask("CONFIG SET maxmemory 0");

    await ask("CONFIG SET min-replicas-to-write 1");
    t.regex(await faultText(storage.put("kept", "after")), /^UNAVAILABLE: .*refused: NOREPLICAS/);
    t.regex(await faultText(storage.delete("kept")), /^UNAVAILABLE: .*refused: NOREPLICAS/);
    await ask("CONFIG SET min-replicas-to-write 0");

    await ask("REPLICAOF 127.0.0.1 1");
    t.regex(await faultText(storage.put("kept", "after")), /^UNAVAILABLE: .*refused: READONLY/);
    t.regex(await faultText(storage.delete("kept")), /^UNAVAILABLE: .*refused: READONLY/);
    await ask("REPLICAOF NO ONE");

    t.deepEqual(await storage.get("kept"), {
      key: "kept",
      revision: kept.revision,
      value: "before",
      leaseId: undefined,
    });
    const written = await storage.compareAndSet("kept", kept.revision, "after");
    t.true(written.written);
    t.is((await storage.get("kept"))?.value, "after");
  },
);

test.serial(
  "while Redis is away for 10 s each call ends with a clear code; then all that was accepted is there",
  async (t) => {
    await using cluster = await startTestCluster(t, { shards: 1, redisMode: "standalone" });
    await using client = connected(cluster);
    const { storage } = client;
    const [node] = cluster.nodes;
    if (!node) return t.fail();
    const accepted = new Map<string, number>();
    const unknown = new Set<string>();
    const codes = new Set<string>();
    let writes = 0;
    /** One write; what became of it is noted. */
    const write = async (): Promise<void> => {
      const key = `key ${++writes}`;
      try {
        await storage.put(key, writes, { timeoutMs: 3000 });
        accepted.set(key, writes);
      } catch (thrown) {
        const { code } = await faultOf(Promise.reject(thrown));
        codes.add(code);
        if (code !== "UNAVAILABLE") unknown.add(key);
      }
    };
    await write();
    node.redis.pause();
    const stoppedAtMs = monotonicMs();
    while (monotonicMs() - stoppedAtMs < 10_000) {
      const beganAtMs = monotonicMs();
      await write();
      t.true(monotonicMs() - beganAtMs < 8000);
      const reading = await faultOf(storage.get("key 1", { timeoutMs: 3000 }));
      t.true(reading.code === "UNAVAILABLE" || reading.code === "DEADLINE_EXCEEDED");
    }
    node.redis.resume();
    await eventually(() => storage.put("back", true), { what: "a write that is taken" });
    await write();
    t.true(codes.has("UNAVAILABLE"));
    t.true([...codes].every((code) => ["UNAVAILABLE", "INDETERMINATE", "DEADLINE_EXCEEDED"].includes(code)));
    t.true(accepted.size >= 2);
    // Reading has a connection of its own, which may be back a moment later.
    const entries = await eventually(() => Array.fromAsync(storage.list({ prefix: "key " })), { what: "a list" });
    const found = new Map(entries.map(({ key, value }) => [key, value]));
    for (const [key, value] of accepted) t.is(found.get(key), value);
    // What is there besides is what nobody could tell of.
    for (const key of found.keys()) t.true(accepted.has(key) || unknown.has(key));
  },
);

test.serial(
  "a write says that a replica has it; where the replica does not say so, that a failover may lose it",
  async (t) => {
    await using cluster = await startTestCluster(t, {
      shards: 1,
      replicasPerMaster: 1,
      env: { GEARMESH_STORAGE_REPLICA_TIMEOUT_MS: "3000" },
    });
    await using client = connected(cluster);
    const { storage } = client;
    const replica = cluster.nodes[1];
    if (!replica) return t.fail();
    const isReplicated = async () => (await storage.put("key", "first")).durability === "replica";
    await eventually(isReplicated, { what: "a write that a replica has" });
    const stream = client.stream();
    const many = await Promise.all(
      Array.from({ length: 200 }, (_, index) => stream.storage.put(`key ${index}`, index)),
    );
    t.true(many.every(({ durability }) => durability === "replica"));
    // Records of gearmesh's own come and go between the two looks.
    const sizes = () =>
      Promise.all(cluster.nodes.map(({ redis }) => askRedis(redis, "DBSIZE").then((size) => Number(size?.slice(1)))));
    const isSame = async () => {
      const [atMaster = 0, atReplica = 0] = await sizes();
      return atMaster >= many.length && atMaster === atReplica;
    };
    await eventually(isSame, { what: "as many keys at the replica" });

    replica.redis.pause();
    t.regex(await faultText(storage.put("key", "second")), /^INDETERMINATE: it was written, .* a failover may lose it/);
    t.is((await storage.get("key"))?.value, "second");
    replica.redis.resume();
    await eventually(isReplicated, { what: "a write that a replica has" });
    await stream.close();
  },
);
