import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster, ClusterNode } from "../../src/dev/cluster.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { metricOf } from "../support/metrics-of.ts";

const FILLER = fileURLToPath(new URL("../support/cache-filler.ts", import.meta.url));
const CALLERS = 100;
/** Longer than any of this takes. */
const LOCK_MS = 600_000;

interface Filler extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly fencingToken: number;
}

/** A process of its own that has the task to fill the key. */
async function startFiller({ coordinator }: ClusterNode, { token }: Cluster, key: string): Promise<Filler> {
  const child = fork(FILLER, [coordinator.address, token, key, String(LOCK_MS)]);
  const [{ fencingToken }] = (await once(child, "message")) as [{ fencingToken: number }];
  return {
    process: child,
    fencingToken,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** So many callers at these coordinators, of whom one fills; resolves once they have all got the value, with how often it was filled. */
function stampede(clients: readonly GearmeshClient[], key: string, timeoutMs = 60_000) {
  let fills = 0;
  const tokens: number[] = [];
  const values = Array.from({ length: CALLERS }, async (_, index) => {
    const client = clients[index % clients.length];
    if (!client) throw new Error("no client");
    const { object, lock } = await client.cache.getOrLock(key, { timeoutMs });
    if (object) return object.value;
    fills++;
    tokens.push(lock.fencingToken);
    await client.cache.fill(key, lock, "filled");
    return "filled";
  });
  return { all: Promise.all(values), fills: () => fills, tokens };
}

async function waiting(nodes: readonly ClusterNode[]): Promise<number> {
  const counts = nodes.map(({ coordinator }) => metricOf(coordinator, "gearmesh_cache_waiting"));
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

function clientsOf(t: ExecutionContext, { token }: Cluster, nodes: readonly ClusterNode[]): readonly GearmeshClient[] {
  const clients = nodes.map(({ coordinator }) => connect({ address: coordinator.address, token }));
  t.teardown(() => {
    for (const client of clients) client.close();
  });
  return clients;
}

test("100 concurrent misses of one key: the filler killed, its connection lost, or its coordinator killed, exactly one other takes over", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 3 });
  const { nodes } = cluster;
  const [first, second, third] = nodes;
  if (!first || !second || !third) throw new Error("three nodes were started");

  await t.notThrowsAsync(async () => {
    // The lock would outlive the test: it is the end of the process that gives it back.
    await using filler = await startFiller(first, cluster, "killed");
    const callers = stampede(clientsOf(t, cluster, nodes), "killed");
    await eventually(async () => (await waiting(nodes)) === CALLERS, { what: "all who wait" });
    t.is(callers.fills(), 0);
    filler.process.kill("SIGKILL");
    t.deepEqual(new Set(await callers.all), new Set(["filled"]));
    t.is(callers.fills(), 1);
    t.true((callers.tokens[0] ?? 0) > filler.fencingToken);
  });

  await t.notThrowsAsync(async () => {
    const [client] = clientsOf(t, cluster, [second]);
    const connection = await client?.open();
    const { lock } = (await connection?.cache.getOrLock("lost", { lockMs: LOCK_MS })) ?? {};
    t.truthy(lock);
    const callers = stampede(clientsOf(t, cluster, nodes), "lost");
    await eventually(async () => (await waiting(nodes)) === CALLERS, { what: "all who wait" });
    connection?.abandon();
    t.deepEqual(new Set(await callers.all), new Set(["filled"]));
    t.is(callers.fills(), 1);
  });

  await t.notThrowsAsync(async () => {
    await using filler = await startFiller(first, cluster, "orphaned");
    const others = [second, third];
    const clients = clientsOf(t, cluster, others);
    const callers = stampede(clients, "orphaned");
    await eventually(async () => (await waiting(others)) === CALLERS, { what: "all who wait" });
    t.is(callers.fills(), 0);
    await first.coordinator.kill("SIGKILL");
    t.is(callers.fills(), 0);
    // Nobody is left to give the lock back: it expires, only sooner than it would have.
    t.truthy(await clients[0]?.cache.renewLock("orphaned", filler.fencingToken, { lockMs: 1000 }));
    t.deepEqual(new Set(await callers.all), new Set(["filled"]));
    t.is(callers.fills(), 1);
    t.true((callers.tokens[0] ?? 0) > filler.fencingToken);
  });
});
