/**
 * Methods called on other nodes of the cluster, beside Actionhero: on the holder of a connection, on all of three nodes (the first answer counts), and
 * a change of a connection. Actionhero's callers and handlers live inside its nodes; ours are applications of their own, which add a hop at either end. As such an
 * application reaches Actionhero, over its websocket server, is `actionhero-websocket`.
 */
import { ActionheroPeer } from "./support/actionhero-peer.ts";
import { onOneCpu } from "./support/one-cpu.ts";
import { IN_FLIGHT, type Metric } from "./support/own-load.ts";
import { type Row, report, row } from "./support/report.ts";
import { medians } from "./support/rounds.ts";
import { RpcApplications } from "./support/rpc-applications.ts";

/** Measures one kind of call for so long. */
type Measure = (durationMs: number) => Promise<number>;
type Side = "ours" | "actionhero";

const WARM_UP_MS = 10_000;

await using applications = await RpcApplications.start();
await using actionhero = await ActionheroPeer.start();

function sides(call: "to-connection" | "to-all" | "apply", metric: Metric): Readonly<Record<Side, Measure>> {
  return {
    ours: (durationMs) => applications.measure(call, metric, durationMs),
    actionhero: (durationMs) => actionhero.measure(call, metric, durationMs),
  };
}

/** What is alone goes through one process after the other, so it is measured on one CPU; `-spread` is the same over all of them. */
async function measureAlone(suffix = ""): Promise<readonly Row[]> {
  const fields = { metric: "median-latency", unit: "us" };
  const { ours, actionhero: peer, websocket } = await measureAll(toConnectionAlone);
  const applied = await measureAll(applyAlone);
  const toConnectionFields = { ...fields, case: `to-connection-1${suffix}`, ours };
  return [
    row({ ...toConnectionFields, peer, peerName: "actionhero" }),
    row({ ...toConnectionFields, peer: websocket, peerName: "actionhero-websocket" }),
    row({ ...fields, case: `apply-1${suffix}`, ours: applied.ours, peer: applied.actionhero, peerName: "actionhero" }),
  ];
}

async function measureMany(name: string, measures: Readonly<Record<Side, Measure>>): Promise<Row> {
  const { ours, actionhero: peer } = await measureAll(measures);
  return row({ case: `${name}-${IN_FLIGHT}`, metric: "rate", unit: "calls/s", ours, peer, peerName: "actionhero" });
}

function measureAll<Name extends string>(
  measures: Readonly<Record<Name, Measure>>,
): Promise<Readonly<Record<Name, number>>> {
  return medians<Name, Measure>(measures, (measure, durationMs) => measure(durationMs));
}

const toConnection = sides("to-connection", "rate");
const toAll = sides("to-all", "rate");
const applyAlone = sides("apply", "median-latency");
const toConnectionAlone = {
  ...sides("to-connection", "median-latency"),
  websocket: (durationMs: number) => actionhero.measureOverWebsocket(durationMs),
};
for (const measures of [toConnection, toAll, toConnectionAlone, applyAlone]) {
  for (const measure of Object.values<Measure>(measures)) await measure(WARM_UP_MS);
}
report("rpc", [
  await measureMany("to-connection", toConnection),
  await measureMany("to-all", toAll),
  ...(await onOneCpu(() => measureAlone())),
  ...(await measureAlone("-spread")),
]);
