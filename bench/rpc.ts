/**
 * Calls of methods on other nodes of the cluster, beside Actionhero, whose callers and handlers live inside its nodes: to the holder of a connection, to all
 * of three nodes (the first answer counts), and a change of a connection.
 */
import { ActionheroPeer } from "./support/actionhero-peer.ts";
import { onOneCpu } from "./support/one-cpu.ts";
import { printTable } from "./support/report.ts";
import { medians } from "./support/rounds.ts";

/** Measures one kind of call for so long. */
type Measure = (durationMs: number) => Promise<number>;

const WARM_UP_MS = 5000;

await using actionhero = await ActionheroPeer.start();
const rates: Readonly<Record<string, Measure>> = {
  "to-connection-64": (durationMs) => actionhero.measure("to-connection", "rate", durationMs),
  "to-all-64": (durationMs) => actionhero.measure("to-all", "rate", durationMs),
};
const latencies: Readonly<Record<string, Measure>> = {
  "to-connection-1": (durationMs) => actionhero.measure("to-connection", "median-latency", durationMs),
  "apply-1": (durationMs) => actionhero.measure("apply", "median-latency", durationMs),
  "websocket-1": (durationMs) => actionhero.measureOverWebsocket(durationMs),
};

function measureAll(measures: Readonly<Record<string, Measure>>): Promise<Readonly<Record<string, number>>> {
  return medians(measures, (measure, durationMs) => measure(durationMs));
}

for (const measure of [...Object.values(rates), ...Object.values(latencies)]) await measure(WARM_UP_MS);
const results = { ...(await measureAll(rates)), ...(await onOneCpu(() => measureAll(latencies))) };
printTable(
  ["case", "unit", "actionhero"],
  Object.entries(results).map(([name, value]) => [name, name in rates ? "calls/s" : "us", value.toFixed(0)]),
);
