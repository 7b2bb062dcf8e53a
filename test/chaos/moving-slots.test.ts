import test from "ava";
import { Cluster as RedisCluster } from "ioredis";
import { connect } from "../../src/client/client.ts";
import type { ClusterNode } from "../../src/dev/cluster.ts";
import { startTestCluster } from "../support/cluster.ts";
import { keysInSlots } from "../support/keys.ts";
import { REGISTER_LIBRARY, Registers } from "../support/registers.ts";
import { seededRandom } from "../support/seed.ts";

/** How long slots move. Unit: ms. */
const DURATION_MS = Number(process.env["GEARMESH_MOVING_MS"] ?? 60_000);

/** What a machine makes of a function that stands still for a moment is not what is asked here. */
const ENV = { GEARMESH_RUN_TIMEOUT_MS: "10000", GEARMESH_LOCK_REDIS_TIMEOUT: "10000" };

/** The slots that move, one after the other; they begin on the first shard. */
const SLOTS = 40;
const KEYS_IN_SLOT = 3;
const READERS = 8;

const READ_TIMEOUT_MS = 5000;

/** Of all reads. */
const MAX_LATE = 0.001;

test("while slots move without a pause no read is stale, and none fails", async (t) => {
  t.timeout(DURATION_MS + 120_000);
  const random = seededRandom(t);
  await using cluster = await startTestCluster(t, { shards: 3, env: ENV });
  await using stack = new AsyncDisposableStack();
  const clients = cluster.nodes.map(({ coordinator }) =>
    stack.use(connect({ address: coordinator.address, token: cluster.token })),
  );
  await clients[0]?.load(REGISTER_LIBRARY);
  const redis = stack.adopt(
    new RedisCluster(cluster.nodes.map(({ redis: { port } }) => ({ host: "127.0.0.1", port }))),
    (connection) => connection.disconnect(),
  );
  const registers = new Registers(
    redis,
    keysInSlots(
      Array.from({ length: SLOTS }, (_, slot) => slot),
      KEYS_IN_SLOT,
    ),
  );

  let moved = 0;
  const moveOn = async (): Promise<void> => {
    const any = (nodes: readonly ClusterNode[]) => nodes[Math.floor(random() * nodes.length)] as ClusterNode;
    const owners = Array.from({ length: SLOTS }, () => cluster.nodes[0] as ClusterNode);
    const endMs = performance.now() + DURATION_MS;
    while (performance.now() < endMs) {
      const slot = Math.floor(random() * SLOTS);
      const from = owners[slot] as ClusterNode;
      const to = any(cluster.nodes.filter((node) => node !== from));
      await cluster.moveSlots({ start: slot, end: slot }, from, to);
      owners[slot] = to;
      moved++;
    }
  };
  const findings = await registers.check({
    clients,
    readers: READERS,
    timeoutMs: READ_TIMEOUT_MS,
    random,
    during: moveOn,
  });
  const { DEADLINE_EXCEEDED: late = 0, ...others } = Object.fromEntries(findings.faults);
  t.log(
    `${moved} slots moved in ${(DURATION_MS / 1000).toFixed()} s; ${findings.writes} writes, ${findings.reads} reads`,
  );
  t.log(`late: ${late}; slowest read: ${findings.slowestMs.toFixed()} ms; wrong: ${findings.wrong.length}`);
  t.deepEqual(findings.wrong.slice(0, 5), []);
  t.deepEqual(others, {}, [...findings.faultTexts.values()].join("\n"));
  t.is(findings.lostWrites, 0, "Redis itself loses nothing of a slot that moves");
  t.true(late / findings.reads < MAX_LATE, `${late} of ${findings.reads} reads were late`);
  t.true(moved * 60_000 >= 100 * DURATION_MS, `${moved} slots moved`);
  t.true(findings.reads > 1000);
});
