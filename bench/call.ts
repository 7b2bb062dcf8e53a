/**
 * One run_on_key from a client process through its coordinator to another shard's Redis and back, over a call stream, against one
 * plain gRPC call that does nothing; and where the time goes, hop by hop.
 */
import { randomBytes } from "node:crypto";
import { connect } from "../src/client/client.ts";
import { startCluster } from "../src/dev/cluster.ts";
import { writeKeys } from "../src/redis/write-keys.ts";
import { startProcess } from "./support/child-process.ts";
import { startEchoPeers } from "./support/echo-peers.ts";
import { type Call, measureLatencyUs, measureRate } from "./support/load.ts";
import { residentMiB } from "./support/process-memory.ts";
import { printTable, type Row, report, row } from "./support/report.ts";
import { median } from "./support/statistics.ts";

const PAYLOAD_BYTES = 64;
/** Many and short: the machine's own speed changes within seconds. */
const ROUNDS = 21;
const MEASURE_MS = 350;
/** Until V8 has compiled what is hot, for many calls at a time and for one. */
const WARM_UP_MS = 20_000;
const WARM_UP_ALONE_MS = 5000;
const STARTS = 7;
const LIBRARY = `#!js name=bench
redis.register_remote_function("nothing", async () => null);
redis.register_remote_function("get", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_async_function("nothing", async () => null);
redis.register_async_function("get", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_async_function("nothing_on_key", async (client, key) => client.run_on_key(key, "nothing"));
redis.register_async_function("get_on_key", async (client, key) => client.run_on_key(key, "get", key));
`;

const payload = randomBytes(PAYLOAD_BYTES);
await using cluster = await startCluster({ shards: 3 });
await using echo = await startEchoPeers(payload);
const [near] = cluster.nodes;
if (!near) throw new Error("a cluster without nodes");
await using client = connect({ address: near.coordinator.address, token: cluster.token });
await using stream = client.stream();
await client.load(LIBRARY);
const [here, there] = [await keyOn(true), await keyOn(false)];
const value = payload.toString("hex").slice(0, PAYLOAD_BYTES);
await writeKeys(
  cluster.nodes.map(({ redis }) => redis),
  new Map([here, there].map((key) => [key, value])),
);

const runOnKey = on("bench.get_on_key", there);
const calls: Readonly<Record<string, Call>> = { ours: runOnKey, peer: echo.unary };

/** Each one a hop longer than the one before. */
const HOPS: readonly (readonly [hop: string, call: Call])[] = [
  ["client and coordinator, over the call stream", () => stream.call("bench.missing").catch(() => undefined)],
  ["coordinator and sandbox process, and the isolate", on("bench.nothing")],
  ["back to the coordinator for run_on_key, and a second run", on("bench.nothing_on_key", here)],
  ["the link, and the other shard's sandbox process instead of this one's", on("bench.nothing_on_key", there)],
  ["a block with one GET", runOnKey],
];

function on(name: string, ...args: string[]): Call {
  return () => stream.call(name, { args });
}

/** A key on the shard of the coordinator that is asked, or on another. */
async function keyOn(isNear: boolean): Promise<string> {
  for (let i = 0; ; i++) {
    const { shard } = await client.locateKey(`key:${i}`);
    if ((shard.coordinatorAddress === near?.coordinator.address) === isNear) return `key:${i}`;
  }
}

/** Rounds interleave, so that what else the machine does hits both alike. */
async function compare(measure: (call: Call) => Promise<number>, fields: Pick<Row, "case" | "metric" | "unit">) {
  const results = new Map(Object.keys(calls).map((name) => [name, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, call] of Object.entries(calls)) results.get(name)?.push(await measure(call));
  }
  const [ours, peer] = ["ours", "peer"].map((name) => median(results.get(name) ?? []));
  return row({ ...fields, ours: ours ?? 0, peer: peer ?? 0, peerName: "grpc-unary" });
}

async function printHops(): Promise<void> {
  const times = HOPS.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, [, call]] of HOPS.entries()) times[index]?.push(await measureLatencyUs(call, MEASURE_MS / 2));
  }
  let before = 0;
  const rows = HOPS.map(([hop], index) => {
    const total = median(times[index] ?? []);
    const added = total - before;
    before = total;
    return [hop, added.toFixed(0), total.toFixed(0)];
  });
  console.log("where the time of one run_on_key goes, one at a time:");
  printTable(["hop", "adds us", "sum us"], rows);
  console.log();
}

/** What a coordinator with its sandbox process costs, against a Node process that does nothing. */
async function footprint(): Promise<readonly Row[]> {
  const [, , third] = cluster.nodes;
  if (!third) throw new Error("a cluster of three");
  const starts = { ours: [] as number[], peer: [] as number[] };
  for (let round = 0; round < STARTS; round++) {
    const beforeMs = performance.now();
    await using _idle = await startProcess("support/idle-process.ts");
    starts.peer.push(performance.now() - beforeMs);
    await third.coordinator.kill("SIGKILL");
    const killedMs = performance.now();
    await third.coordinator.start();
    starts.ours.push(performance.now() - killedMs);
  }
  await using idle = await startProcess("support/idle-process.ts");
  const fields = { case: "coordinator", peerName: "node-idle" };
  return [
    row({
      ...fields,
      metric: "idle-memory",
      unit: "MiB",
      ours: residentMiB(third.coordinator.pid ?? 0),
      peer: residentMiB(idle.pid),
    }),
    row({ ...fields, metric: "start-up", unit: "ms", ours: median(starts.ours), peer: median(starts.peer) }),
  ];
}

for (const call of Object.values(calls)) {
  await measureRate(call, 64, WARM_UP_MS);
  await measureLatencyUs(call, WARM_UP_ALONE_MS);
}
const latency = await compare((call) => measureLatencyUs(call, MEASURE_MS), {
  case: "run-on-key-1",
  metric: "median-latency",
  unit: "us",
});
const rate = await compare((call) => measureRate(call, 64, MEASURE_MS), {
  case: "run-on-key-64",
  metric: "rate",
  unit: "calls/s",
});
await printHops();
report("call", [latency, rate, ...(await footprint())]);
