/**
 * Pairs of a save and a load, beside Actionhero. Its callers live inside its nodes; ours are applications of their own, and each request goes through a coordinator to one of three Redis nodes. So a
 * pair is two round trips of two hops for us, and as many commands as Actionhero sends for it, of one hop each.
 */
import { startCluster } from "../src/dev/cluster.ts";
import { ActionheroPeer } from "./support/actionhero-peer.ts";
import { startProcess } from "./support/child-process.ts";
import { onOneCpu } from "./support/one-cpu.ts";
import { IN_FLIGHT, type Metric, orderLoad } from "./support/own-load.ts";
import { cpuUs } from "./support/process-cpu.ts";
import { printTable, report, row } from "./support/report.ts";
import { medians } from "./support/rounds.ts";

const WARM_UP_MS = 10_000;
const CPU_MS = 5000;
const OPERATIONS_OF_A_PAIR = 2;

await using cluster = await startCluster({ shards: 3 });
const [near] = cluster.nodes;
if (!near) throw new Error("a cluster without nodes");
const env = { BENCH_ADDRESS: near.coordinator.address, BENCH_TOKEN: cluster.token };
await using application = await startProcess("support/cache-caller-process.ts", { env });
await using actionhero = await ActionheroPeer.start();

type Measure = (durationMs: number) => Promise<number>;

function sides(metric: Metric): Readonly<Record<"ours" | "peer", Measure>> {
  return {
    ours: (durationMs) => orderLoad(application, { call: "save-load", metric, durationMs }),
    peer: (durationMs) => actionhero.measure("save-load", metric, durationMs),
  };
}

/** CPU time that each process has used. Unit: us. */
function cpuOfOurs(): Readonly<Record<"application" | "coordinator" | "redis", number>> {
  return {
    application: cpuUs(application.pid),
    coordinator: cpuUs(near?.coordinator.pid ?? 0),
    redis: cluster.nodes.reduce((sum, { redis }) => sum + cpuUs(redis.pid ?? 0), 0),
  };
}

async function printCpu(measures: Readonly<Record<"ours" | "peer", Measure>>): Promise<void> {
  const rows: (readonly string[])[] = [];
  for (const [side, cpu] of [
    ["ours", cpuOfOurs],
    ["peer", () => actionhero.cpu],
  ] as const) {
    const before: Readonly<Record<string, number>> = cpu();
    const operations = OPERATIONS_OF_A_PAIR * (await measures[side](CPU_MS)) * (CPU_MS / 1000);
    const spent = Object.entries(cpu()).map(([name, us]) => [name, (us - (before[name] ?? 0)) / operations] as const);
    const sum = spent.reduce((total, [, us]) => total + us, 0);
    const each = [...spent, ["together", sum] as const];
    rows.push(...each.map(([name, us]) => [side === "ours" ? "ours" : "actionhero", name, us.toFixed(1)]));
  }
  console.log(`CPU time of one operation, with ${IN_FLIGHT} pairs at a time:`);
  printTable(["side", "process", "us"], rows);
  console.log();
}

async function measured(metric: Metric): Promise<Readonly<Record<"ours" | "peer", number>>> {
  return medians(sides(metric), (measure, durationMs) => measure(durationMs));
}

for (const metric of ["rate", "median-latency"] as const) {
  for (const measure of Object.values(sides(metric))) await measure(WARM_UP_MS);
}
const peerName = "actionhero";
const rate = await measured("rate");
await printCpu(sides("rate"));
const alone = await onOneCpu(() => measured("median-latency"));
report("cache", [
  row({ case: `save-load-${IN_FLIGHT}`, metric: "rate", unit: "pairs/s", ...rate, peerName }),
  row({ case: "save-load-1", metric: "median-latency", unit: "us", ...alone, peerName }),
]);
