import test from "ava";
import { Fault } from "../../src/base/fault.ts";
import { parseClusterNodes } from "../../src/redis/cluster-nodes.ts";
import { formCluster } from "../../src/redis/form-cluster.ts";
import { RespConnection } from "../../src/redis/resp-connection.ts";
import { type LocalRedis, startRedises } from "./local-redis.ts";

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

test("masters share the slots, and each has its replica", async (t) => {
  await using cluster = await startRedises(6, { cluster: true });
  await formCluster(cluster.nodes, { replicasPerMaster: 1 });
  for (const node of cluster.nodes) {
    const seen = parseClusterNodes(await ask(node, "CLUSTER", "NODES"));
    const ranges = seen.flatMap(({ slots }) => slots).sort((a, b) => a.start - b.start);
    t.deepEqual(ranges, [
      { start: 0, end: 5460 },
      { start: 5461, end: 10922 },
      { start: 10923, end: 16383 },
    ]);
    const masters = seen.filter(({ slots }) => slots.length > 0).map(({ id }) => id);
    const followed = seen.flatMap(({ masterId }) => masterId ?? []);
    t.deepEqual(followed.sort(), masters.sort());
  }
  const again = await t.throwsAsync(formCluster(cluster.nodes), { instanceOf: Fault });
  t.is(again.code, "INVALID_ARGUMENT");
  t.regex(again.message, /is not empty/);
});

test("nodes that cannot form a cluster are refused with the reason", async (t) => {
  await using alone = await startRedises(1);
  const standalone = await t.throwsAsync(formCluster(alone.nodes), { instanceOf: Fault });
  t.regex(standalone.message, /cluster-enabled yes/);
  const uneven = await t.throwsAsync(formCluster(alone.nodes, { replicasPerMaster: 1 }), { instanceOf: Fault });
  t.is(uneven.code, "INVALID_ARGUMENT");
  const nobody = await t.throwsAsync(formCluster([{ host: "127.0.0.1", port: 1 }]), { instanceOf: Fault });
  t.is(nobody.code, "UNAVAILABLE");
  t.regex(nobody.message, /127\.0\.0\.1:1 is not reachable/);
});

test("what is missing at the deadline is named", async (t) => {
  await using cluster = await startRedises(2, { cluster: true });
  const late = await t.throwsAsync(formCluster(cluster.nodes, { deadlineMs: 0 }), { instanceOf: Fault });
  t.is(late.code, "UNAVAILABLE");
  t.regex(late.message, /did not form in time: 127\.0\.0\.1:\d+ /);
});
