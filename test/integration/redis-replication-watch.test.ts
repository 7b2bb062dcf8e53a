import test from "ava";
import { createControlClient } from "../../src/redis/control-client.ts";
import { ReplicationWatch } from "../../src/redis/replication-watch.ts";
import type { Replication } from "../../src/topology/replication.ts";
import { eventually } from "../support/eventually.ts";
import { startRedis } from "./local-redis.ts";

test("it tells of each change between master and replica, and knows nothing of a Redis that is away", async (t) => {
  await using redis = await startRedis();
  await using master = await startRedis();
  const client = createControlClient(redis, { reconnect: { initialMs: 20, maxMs: 100 }, onError: () => undefined });
  const seen: Replication[] = [];
  const watch = new ReplicationWatch({
    client,
    changed: (replication) => seen.push(replication),
    replied: () => undefined,
  });
  watch.start();
  t.teardown(() => {
    watch.stop();
    client.disconnect();
  });
  t.is(watch.current(), undefined);
  await client.connect();
  const becomes = (expected: Replication) =>
    eventually(() => JSON.stringify(watch.current()) === JSON.stringify(expected), { what: JSON.stringify(expected) });
  await becomes({ kind: "master" });
  await client.call("REPLICAOF", master.host, master.port);
  await becomes({ kind: "replica", isLinked: true });
  master.process.kill("SIGKILL");
  await becomes({ kind: "replica", isLinked: false });
  await client.call("REPLICAOF", "NO", "ONE");
  await becomes({ kind: "master" });
  t.deepEqual(seen[0], { kind: "master" });
  t.true(
    seen.every((each, index) => JSON.stringify(each) !== JSON.stringify(seen[index - 1])),
    "changes alone",
  );
  redis.process.kill("SIGKILL");
  await eventually(() => watch.current() === undefined, { what: "a Redis that is away" });
});
