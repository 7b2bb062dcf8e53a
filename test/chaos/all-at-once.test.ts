import { readFileSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { Redis } from "ioredis";
import { connect } from "../../src/client/client.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { type Random, seededRandom } from "../support/seed.ts";
import { Belongings, LIBRARY } from "./all-at-once/belongings.ts";
import { Callers, TIMEOUT_MS } from "./all-at-once/callers.ts";
import { Streams } from "./all-at-once/streams.ts";

const SHARDS = 3;
/** How much later than its deadline a call may end on a machine that has other things to do. Unit: ms. */
const LATE_MS = 1000;
const ENV = {
  // Longer than anything is away here, however busy the machine is: behind them connections and members are gone on purpose.
  GEARMESH_CONNECTION_LEASE_MS: "60000",
  GEARMESH_ROOM_LEASE_MS: "60000",
  GEARMESH_RESUME_GRACE_MS: "60000",
  // So that what was held by the dead is soon worked again.
  GEARMESH_TASK_LEASE_MS: "2000",
  // More than a call takes on such a machine.
  GEARMESH_REMOTE_TASK_DEFAULT_TIMEOUT: "3000",
  // For the task that does not end by itself.
  GEARMESH_DRAIN_TIMEOUT_MS: "2000",
};

/** How Redis keeps its data in production. */
function persistence(): Readonly<Record<string, string>> {
  const lines = readFileSync("k8s/overlays/prod/overlay.conf", "utf8").matchAll(/^(append\S+) (.*)$/gm);
  return Object.fromEntries([...lines].map(([, name = "", value = ""]) => [name, value]));
}

function shuffled<T>(items: readonly T[], random: Random): readonly T[] {
  return items
    .map((item) => [random(), item] as const)
    .toSorted(([one], [other]) => one - other)
    .map(([, item]) => item);
}

/** Brings everything down at once, and starts it again. */
type Outage = (cluster: Cluster, random: Random) => Promise<void>;

async function survive(t: ExecutionContext, outage: Outage, losesWrites: boolean): Promise<void> {
  t.timeout(150_000);
  const random = seededRandom(t);
  await using cluster = await startTestCluster(t, { shards: SHARDS, env: ENV, redisConfig: persistence() });
  const addresses = cluster.nodes.map(({ coordinator }) => coordinator.address);
  const { token } = cluster;
  await using stack = new AsyncDisposableStack();
  const clients = addresses.map((address) =>
    stack.use(connect({ address, alternatives: addresses.filter((other) => other !== address), token })),
  );
  const [client] = clients;
  if (!client) return t.fail();
  await client.load(LIBRARY);
  const streams = stack.use(await Streams.open(clients));
  const belongings = await Belongings.leave(client, random);
  const callers = new Callers(clients);
  stack.defer(() => callers.stop());
  callers.start();
  await callers.haveGoneOn();
  const written = new Map(callers.counters.map((counter) => [counter, counter.caller.done]));
  const redises = cluster.nodes.map(({ redis: { port } }) => new Redis(port));
  await eventually(() => areWrittenOut(redises), { what: "nothing that Redis has not handed to the system" });
  for (const redis of redises) redis.disconnect();

  const begunMs = performance.now();
  await outage(cluster, random);
  t.log(`ready again ${Math.round(performance.now() - begunMs)} ms after the first signal`);
  for (const address of addresses) {
    await using alone = connect({ address, token });
    t.is(await alone.health(), "serving");
  }
  await callers.haveGoneOn();
  await callers.stop();
  t.log(`\n${callers.table()}`);
  t.deepEqual(callers.unclear(), []);
  t.true(callers.longestMs < TIMEOUT_MS + LATE_MS, `${callers.longestMs} ms`);
  for (const counter of callers.counters) {
    const { what, caller, read } = counter;
    const value = await read();
    const least = losesWrites ? (written.get(counter) ?? 0) : caller.done;
    t.true(value >= least && value <= caller.done + caller.unknown, `${what}: ${value} of ${caller.done}`);
  }
  await streams.comeBack(t);
  await belongings.find(t);
}

/** Whether a kill of every Redis would lose nothing now. Redis writes its file before it answers, unless the system is still at work on what was written before. */
async function areWrittenOut(redises: readonly Redis[]): Promise<boolean> {
  const infos = await Promise.all(redises.map((redis) => redis.info("persistence")));
  return infos.every((info) => /^aof_buffer_length:0\r$/m.test(info));
}

test.serial("coordinators that are all told to stop at once leave everything as it was", async (t) => {
  const outage: Outage = async ({ nodes }, random) => {
    const coordinators = nodes.map(({ coordinator }) => coordinator);
    await Promise.all(shuffled(coordinators, random).map((coordinator) => coordinator.kill("SIGTERM")));
    await Promise.all(shuffled(coordinators, random).map((coordinator) => coordinator.start()));
  };
  await survive(t, outage, false);
});

test.serial(
  "a cluster whose processes are all killed at once, Redis too, is what it was when they run again",
  async (t) => {
    const outage: Outage = async ({ nodes }, random) => {
      const processes = nodes.flatMap(({ redis, coordinator }) => [redis, coordinator]);
      await Promise.all(shuffled(processes, random).map((each) => each.kill("SIGKILL")));
      await Promise.all(shuffled(processes, random).map((each) => each.start()));
    };
    await survive(t, outage, true);
  },
);
