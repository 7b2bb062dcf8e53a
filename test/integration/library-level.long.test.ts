import { setTimeout as delay } from "node:timers/promises";
import test from "ava";
import { Redis } from "ioredis";
import { connect } from "../../src/client/client.ts";
import type { Cluster, ClusterNode } from "../../src/dev/cluster.ts";
import { slotOf } from "../../src/redis/key-slot.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf } from "../support/fault-of.ts";
import { keyOn } from "../support/keys.ts";

const RECORD_KEY = "gearmesh:{libraries}";
/** Of what is known of tasks. */
const CATALOGUE_KEY = "gearmesh:{tasks}";
const LIBRARY = `#!js name=level
redis.register_remote_function("read", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_async_function("read", async (client, key) => client.run_on_key(key, "read", key));
redis.register_function("write", (client, key, value) => client.call("set", key, value));
redis.register_task("levelTask", async (client, text) => text);
`;

/** Less than the record is away. */
const BRIEF = { timeoutMs: 3000 };

/** The node that keeps the libraries' record, and two others. */
function roles({ nodes }: Cluster): {
  readonly keeper: ClusterNode;
  readonly first: ClusterNode;
  readonly second: ClusterNode;
} {
  const keeper = nodes[Math.floor((slotOf(Buffer.from(RECORD_KEY)) * nodes.length) / 16384)];
  const [first, second] = nodes.filter((node) => node !== keeper);
  if (!keeper || !first || !second) throw new Error("three nodes were started");
  return { keeper, first, second };
}

async function whyNotReady({ coordinator }: ClusterNode): Promise<string> {
  const response = await fetch(`http://${coordinator.opsAddress}/ready`);
  return response.ok ? "" : response.text();
}

async function recorded({ redis }: ClusterNode): Promise<readonly string[]> {
  const client = new Redis(redis.port);
  try {
    return await client.hkeys(RECORD_KEY);
  } finally {
    client.disconnect();
  }
}

test.serial("while the record's shard is down, who starts takes the libraries from its peers", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 3 });
  const { keeper, first, second } = roles(cluster);
  await using client = connect({ address: first.coordinator.address, token: cluster.token });
  // A coordinator is ready after a while without all of its links, too.
  const loaded = await eventually(() => client.load(LIBRARY), { what: "a load on all three shards" });
  const { revision, hash } = loaded;
  t.deepEqual(await recorded(keeper), ["level"]);
  await keeper.redis.kill("SIGKILL");

  await second.coordinator.restart();
  await using restarted = connect({ address: second.coordinator.address, token: cluster.token });
  t.like((await restarted.list())[0], { name: "level", revision, hash });
  for (const node of [first, second]) {
    const key = keyOn(cluster, node);
    await restarted.call("level.write", { keys: [key], args: ["here"] });
    t.is(await restarted.call("level.read", { args: [key] }), "here");
  }
  // The other one next: it can have them only from the one that had them from it.
  await first.coordinator.restart();
  await using other = connect({ address: first.coordinator.address, token: cluster.token });
  t.is(await other.call("level.read", { args: [keyOn(cluster, second)] }), "here");

  await keeper.redis.start();
  await eventually(async () => (await recorded(keeper)).length === 1, { what: "the record", deadlineMs: 40_000 });
  const again = await eventually(() => other.load(LIBRARY, { replace: true }), {
    what: "a load on all three shards",
    deadlineMs: 40_000,
  });
  t.true(again.revision > revision);
});

test.serial("coordinators that all start while the record's shard is down wait for it", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 3 });
  const { keeper, first, second } = roles(cluster);
  await using client = connect({ address: first.coordinator.address, token: cluster.token });
  await client.load(LIBRARY);
  const catalogue = slotOf(Buffer.from(CATALOGUE_KEY));
  // Elsewhere than the libraries, so that it can be read while they cannot.
  await cluster.moveSlots({ start: catalogue, end: catalogue }, keeper, first);
  await Promise.all([keeper.redis.kill("SIGKILL"), ...cluster.nodes.map(({ coordinator }) => coordinator.kill())]);
  const starts = Promise.all([first.coordinator.start(), second.coordinator.start()]);
  const isWaiting = async (node: ClusterNode) => /libraries are not level/.test(await whyNotReady(node));
  await eventually(async () => (await isWaiting(first)) && (await isWaiting(second)), { what: "two that wait" });
  // Longer than the first links and the first levellings take.
  await delay(4_000);
  t.true(await isWaiting(first));
  t.true(await isWaiting(second));
  // A task that is not known yet is not one that there is not.
  await using stream = client.stream();
  for (const door of [client.tasks.enqueue("levelTask", "x", BRIEF), stream.enqueue({ name: "levelTask" }, BRIEF)]) {
    t.regex((await faultOf(door)).code, /^(UNAVAILABLE|DEADLINE_EXCEEDED)$/);
  }
  await keeper.redis.start();
  await starts;
  await keeper.coordinator.start();
  await using back = connect({ address: first.coordinator.address, token: cluster.token });
  t.deepEqual(
    (await back.list()).map(({ name }) => name),
    (await recorded(keeper)).toSorted(),
  );
});
