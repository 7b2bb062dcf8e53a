/**
 * One run_on_key from a client process through its coordinator to another shard's Redis and back, over a call stream, against one
 * plain gRPC call that does nothing; and where the time goes, hop by hop. One at a time, both run on one CPU; `spread` is the same over all of them, which
 * tells more of the machine's idle CPUs than of either.
 */
import { randomBytes } from "node:crypto";
import { connect } from "../src/client/client.ts";
import { startCluster } from "../src/dev/cluster.ts";
import { writeKeys } from "../src/redis/write-keys.ts";
import { startProcess } from "./support/child-process.ts";
import { startEchoPeers } from "./support/echo-peers.ts";
import { type Call, measureLatencyUs, measureRate } from "./support/load.ts";
import { onOneCpu } from "./support/one-cpu.ts";
import { residentMiB } from "./support/process-memory.ts";
import { printTable, type Row, report, row } from "./support/report.ts";
import { medians, warmUp } from "./support/rounds.ts";
import { median } from "./support/statistics.ts";

const PAYLOAD_BYTES = 64;
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
await writeKeys(near.redis, new Map([here, there].map((key) => [key, value])));

const runOnKey = on("bench.get_on_key", there);
const calls: Readonly<Record<"ours" | "peer", Call>> = { ours: runOnKey, peer: echo.unary };

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

async function printHops(): Promise<void> {
  const sums = await medians(Object.fromEntries(HOPS), measureLatencyUs);
  let before = 0;
  const rows = HOPS.map(([hop]) => {
    const sum = sums[hop] ?? 0;
    const added = sum - before;
    before = sum;
    return [hop, added.toFixed(0), sum.toFixed(0)];
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

await warmUp(Object.values(calls), { manyMs: 20_000, aloneMs: 5000 });
const latency = await onOneCpu(() => medians(calls, measureLatencyUs));
const spread = await medians(calls, measureLatencyUs);
const rate = await medians(calls, (call, durationMs) => measureRate(call, 64, durationMs));
await onOneCpu(printHops);
const peerName = "grpc-unary";
report("call", [
  row({ case: "run-on-key-1", metric: "median-latency", unit: "us", ...latency, peerName }),
  row({ case: "run-on-key-1-spread", metric: "median-latency", unit: "us", ...spread, peerName }),
  row({ case: "run-on-key-64", metric: "rate", unit: "calls/s", ...rate, peerName }),
  ...(await footprint()),
]);
