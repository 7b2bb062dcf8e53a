import { execFile } from "node:child_process";
import { promisify } from "node:util";
import test from "ava";
import { Cluster as RedisCluster } from "ioredis";
import { connect } from "../../src/client/client.ts";
import type { ClusterNode } from "../../src/dev/cluster.ts";
import { findRedisServer } from "../../src/dev/redis-process.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { spreadKeys } from "../support/keys.ts";
import { REGISTER_LIBRARY, Registers } from "../support/registers.ts";
import { seededRandom } from "../support/seed.ts";

const FEW = 3;
const MANY = 6;
const KEYS = 48;
/** Otherwise an emptied master becomes a replica, and redis-cli stumbles over that. */
const REDIS = { "cluster-allow-replica-migration": "no" };
/** What a machine makes of a function that stands still for a moment is not what is asked here. */
const ENV = { GEARMESH_RUN_TIMEOUT_MS: "10000", GEARMESH_LOCK_REDIS_TIMEOUT: "10000" };
const READERS = 6;
const WRITE_PAUSE_MS = 10;
const READ_TIMEOUT_MS = 5000;
/** Of all reads. */
const MAX_LATE = 0.001;

const run = promisify(execFile);

/** redis-cli --cluster, which comes with the server. */
async function clusterCli(...args: readonly string[]): Promise<void> {
  const cli = (await findRedisServer()).replace(/server$/, "cli");
  await run(cli, ["--cluster", ...args], { maxBuffer: 1 << 26, timeout: 300_000 });
}

test("from three shards to six and back under load: no wrong answer, no restart, and libraries are there first", async (t) => {
  t.timeout(600_000);
  const random = seededRandom(t);
  await using cluster = await startTestCluster(t, { shards: FEW, redisConfig: REDIS, env: ENV });
  await using stack = new AsyncDisposableStack();
  const clients = cluster.nodes.map(({ coordinator }) =>
    stack.use(connect({ address: coordinator.address, token: cluster.token })),
  );
  const [client] = clients;
  const [first] = cluster.nodes;
  if (!client || !first) return t.fail();
  await client.load(REGISTER_LIBRARY);
  const redis = stack.adopt(
    new RedisCluster(cluster.nodes.map(({ redis: { port } }) => ({ host: "127.0.0.1", port }))),
    (connection) => connection.disconnect(),
  );
  const registers = new Registers(redis, spreadKeys(KEYS));
  const pids = () => cluster.nodes.slice(0, FEW).map(({ coordinator }) => coordinator.pid);
  const before = pids();
  const shards = async () => (await client.topology()).shards.filter((shard) => shard.slots.length > 0).length;
  const address = `127.0.0.1:${first.redis.port}`;

  const added: ClusterNode[] = [];
  const grow = async (): Promise<void> => {
    while (added.length < MANY - FEW) {
      const node = await cluster.addMaster();
      await node.coordinator.start();
      added.push(node);
    }
    await clusterCli("rebalance", address, "--cluster-use-empty-masters", "--cluster-threshold", "1");
    await eventually(async () => (await shards()) === MANY, { what: "six shards" });
  };
  const shrink = async (): Promise<void> => {
    const ports = added.map(({ redis: { port } }) => port);
    const ids = (await client.topology()).shards.filter(({ port }) => ports.includes(port)).map(({ id }) => id);
    await clusterCli("rebalance", address, "--cluster-weight", ...ids.map((id) => `${id}=0`));
    await eventually(async () => (await shards()) === FEW, { what: "three shards" });
    for (const id of ids) await clusterCli("del-node", address, id);
    await eventually(async () => (await client.topology()).shards.length === FEW, { what: "the end of the others" });
  };
  const findings = await registers.check({
    clients,
    readers: READERS,
    writePauseMs: WRITE_PAUSE_MS,
    timeoutMs: READ_TIMEOUT_MS,
    random,
    async during() {
      await grow();
      t.log(`grown: ${(await client.topology()).shards.map(({ slots: own }) => count(own)).join(", ")} slots`);
      await shrink();
      t.log(`shrunk: ${(await client.topology()).shards.map(({ slots: own }) => count(own)).join(", ")} slots`);
    },
  });
  const { DEADLINE_EXCEEDED: late = 0, ...others } = Object.fromEntries(findings.faults);
  t.log(`${findings.writes} writes, ${findings.reads} reads, ${late} late, slowest ${findings.slowestMs.toFixed()} ms`);
  t.deepEqual(findings.wrong.slice(0, 5), []);
  t.deepEqual(others, {}, [...findings.faultTexts.values()].join("\n"));
  t.true(late / findings.reads < MAX_LATE, `${late} of ${findings.reads} reads were late`);
  t.is(findings.lostWrites, 0);
  t.deepEqual(pids(), before, "no coordinator was restarted");
  t.true(findings.reads > 1000);
});

function count(slots: readonly { readonly start: number; readonly end: number }[]): number {
  return slots.reduce((sum, { start, end }) => sum + end - start + 1, 0);
}
