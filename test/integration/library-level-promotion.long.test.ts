import test from "ava";
import { connect } from "../../src/client/client.ts";
import { slotOf } from "../../src/redis/key-slot.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { watchHealth } from "../support/health-watch.ts";
import { keyOn } from "../support/keys.ts";

const SHARDS = 3;
const RECORD_KEY = "gearmesh:{libraries}";
/** Of the shard that keeps the libraries' record. */
const KEEPER = Math.floor((slotOf(Buffer.from(RECORD_KEY)) * SHARDS) / 16384);
/** It takes a while to load, so that who is behind is so for long enough to be seen. */
const LIBRARY = `#!js name=level
const until = Date.now() + 500;
while (Date.now() < until);
redis.register_function("version", (client, key) => [client.call("set", key, "written"), redis.config.version]);
`;
/** So often is a promoted replica's coordinator taken at its word. */
const TIMES = 20;

test("a promoted replica's coordinator serves the newest libraries whenever its health says SERVING", async (t) => {
  // Nothing but the promotion itself may tell the coordinator to look.
  const env = { GEARMESH_TOPOLOGY_INTERVAL_MS: "60000", GEARMESH_LEASE_MS: "0" };
  // Nor may Redis promote anybody before the load is done, which takes long on a busy machine.
  const clusterNodeTimeoutMs = 8000;
  await using cluster = await startTestCluster(t, { shards: SHARDS, replicasPerMaster: 1, clusterNodeTimeoutMs, env });
  const [keeper, second, asked] = [0, 1, 2].map((offset) => cluster.nodes[(KEEPER + offset) % SHARDS]);
  if (!keeper || !second || !asked) return t.fail();
  await using client = connect({ address: asked.coordinator.address, token: cluster.token });
  let version = 0n;
  const load = () => {
    const config = { version: Number(++version) };
    return client.load(LIBRARY, { config, replace: true, allowMissing: true, timeoutMs: 20_000 });
  };
  await load();

  // The record can be written while another shard has no master, and its own shard may lose it with its master.
  for (const [master, isLoadedMeanwhile] of [
    [second, true],
    [keeper, false],
  ] as const) {
    const replica = cluster.nodes[cluster.nodes.indexOf(master) + SHARDS];
    if (!replica) return t.fail();
    await using promoted = connect({ address: replica.coordinator.address, token: cluster.token });
    const key = keyOn(cluster, master, SHARDS);
    const serve = () => promoted.call("level.version", { keys: [key], timeoutMs: 5_000 });
    t.deepEqual(await serve(), ["OK", version], "a replica's coordinator forwards to its master's");

    await using watch = watchHealth({ client: promoted, redisPort: replica.redis.port, call: serve });
    await eventually(() => watch.samples.some(({ isServing }) => isServing), { what: "a healthy standby" });
    if (!isLoadedMeanwhile) await load();
    await master.redis.kill("SIGKILL");
    if (isLoadedMeanwhile) t.deepEqual((await load()).pending, [`127.0.0.1:${master.redis.port}`]);
    t.is(watch.samples.at(-1)?.role, "slave", "the load was done before the promotion");
    const taken = () => watch.samples.filter(({ role, isServing }) => role === "master" && isServing);
    await eventually(() => taken().length >= TIMES, { what: "a healthy promoted replica", deadlineMs: 60_000 });
    for (const { outcome } of taken()) t.deepEqual(outcome, ["OK", version]);
    const waiting = watch.samples.filter(({ role, isServing }) => role === "slave" && !isServing);
    t.true(waiting.length > 0, "while its shard had no master, it said that it does not serve");
    t.is((await promoted.topology()).role, "active");
  }
});
