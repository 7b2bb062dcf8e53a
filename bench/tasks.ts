/**
 * Tasks beside BullMQ and node-resque: how many a second are worked that do nothing, ten at a time, by a library's function for us and within the peer's own process; how many a second are
 * enqueued; how long an idle worker takes to begin one. Each has a Redis of its own, of the same binary.
 */

import { connect } from "../src/client/client.ts";
import { type Cluster, startCluster } from "../src/dev/cluster.ts";
import { startProcess } from "./support/child-process.ts";
import { ensurePeerPackages } from "./support/peer-packages.ts";
import { cpuUs } from "./support/process-cpu.ts";
import { printTable, report, row } from "./support/report.ts";
import { median } from "./support/statistics.ts";

const CONCURRENCY = "10";
const TASKS = 2000;
const ROUNDS = 15;
const BULK_MS = 500;
const PICK_UPS = 15;
const PARTITIONS = [1, 2, 4];
const LIBRARY = `#!js name=noop isolates=1
redis.register_task("noop", async () => null);
`;

await ensurePeerPackages();
await using cluster = await startCluster({
  shards: 1,
  env: { GEARMESH_TASK_MIN_WORKERS: CONCURRENCY, GEARMESH_TASK_MAX_WORKERS: CONCURRENCY },
});
const [node] = cluster.nodes;
if (!node) throw new Error("a cluster without nodes");
const alone = { shards: 1, redisMode: "standalone", startsCoordinators: false } as const;
await using bullRedis = await startCluster(alone);
await using resqueRedis = await startCluster(alone);
const client = connect({ address: node.coordinator.address, token: cluster.token });
await client.load(LIBRARY);
await client.tasks.configureQueue("bulk");
const env = { BENCH_ADDRESS: node.coordinator.address, BENCH_TOKEN: cluster.token };
await using application = await startProcess("support/task-client-process.ts", { env });
const at = ({ nodes }: Cluster) => ({ BENCH_REDIS_PORT: String(nodes[0]?.redis.port) });
await using bull = await startProcess("support/bullmq-process.ts", { env: at(bullRedis) });
await using resque = await startProcess("peers/resque/worker-process.ts", { env: at(resqueRedis) });

const ours = (kind: string, queue = "default") =>
  application.ask<number>({ kind, queue, count: TASKS, durationMs: BULK_MS });
const sides = {
  ours: () => ours("work"),
  bullmq: () => bull.ask<number>({ kind: "work", count: TASKS, durationMs: 0 }),
  resque: () => resque.ask<number>({ kind: "work", count: TASKS }),
  bulk: () => ours("bulk", "bulk"),
  add: () => bull.ask<number>({ kind: "add", count: 0, durationMs: BULK_MS }),
};

/** A median over all rounds, which interleave. */
async function medians<Name extends string>(measures: Readonly<Record<Name, () => Promise<number>>>, rounds: number) {
  const names = Object.keys(measures) as Name[];
  const results = new Map(names.map((name) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    for (const name of names) results.get(name)?.push(await measures[name]());
  }
  return Object.fromEntries(names.map((name) => [name, median(results.get(name) ?? [])])) as Record<Name, number>;
}

/** CPU time per task, process by process. Unit: us. */
async function cpuPerTask(pids: Readonly<Record<string, number>>, work: () => Promise<unknown>): Promise<string[][]> {
  const before = Object.entries(pids).map(([name, pid]) => [name, cpuUs(pid)] as const);
  await work();
  return before.map(([name, us]) => [name, ((cpuUs(pids[name] ?? 0) - us) / TASKS).toFixed(1)]);
}

/** How the rate grows with partitions: as far as there are CPUs for the shards. */
async function ratesByPartitions(): Promise<string[][]> {
  await using wide = await startCluster({ shards: 4 });
  const [first] = wide.nodes;
  await using admin = connect({ address: first?.coordinator.address ?? "", token: wide.token });
  await admin.load(LIBRARY);
  const addresses = { BENCH_ADDRESS: first?.coordinator.address ?? "", BENCH_TOKEN: wide.token };
  await using caller = await startProcess("support/task-client-process.ts", { env: addresses });
  const rates: string[][] = [];
  for (const count of PARTITIONS) {
    await admin.tasks.configureQueue("wide", { partitions: count });
    const question = { kind: "work", queue: "wide", count: TASKS, durationMs: 0 };
    const { rate } = await medians({ rate: () => caller.ask<number>(question) }, 5);
    rates.push([String(count), String(Math.round(rate))]);
  }
  return rates;
}

await medians(sides, 3);
const rates = await medians(sides, ROUNDS);
const waits = await medians(
  { ours: () => ours("pick-up"), resque: () => resque.ask<number>({ kind: "pick-up", count: 0 }) },
  PICK_UPS,
);
printTable(
  ["process", "CPU per task, us"],
  [
    ...(await cpuPerTask({ coordinator: node.coordinator.pid ?? 0, "its Redis": node.redis.pid ?? 0 }, sides.ours)),
    ...(await cpuPerTask({ bullmq: bull.pid, "its Redis": bullRedis.nodes[0]?.redis.pid ?? 0 }, sides.bullmq)),
    ...(await cpuPerTask(
      { "node-resque": resque.pid, "its Redis": resqueRedis.nodes[0]?.redis.pid ?? 0 },
      sides.resque,
    )),
  ],
);
printTable(["partitions, over four shards", "tasks/s"], await ratesByPartitions());
const rate = { metric: "rate", unit: "tasks/s" };
report("tasks", [
  row({ ...rate, case: "work-noop-10", ours: rates.ours, peer: rates.bullmq, peerName: "bullmq" }),
  row({ ...rate, case: "work-noop-10", ours: rates.ours, peer: rates.resque, peerName: "node-resque" }),
  row({ ...rate, case: "enqueue-bulk", ours: rates.bulk, peer: rates.add, peerName: "bullmq-add" }),
  row({
    case: "pick-up-idle",
    metric: "median-latency",
    unit: "ms",
    ours: waits.ours,
    peer: waits.resque,
    peerName: "node-resque",
  }),
]);
client.close();
