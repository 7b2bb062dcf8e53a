/**
 * Functions on their own shard, called over a call stream: what they cost against one plain gRPC call that does nothing, and their commands against
 * the same command sent by a client of its own.
 */
import { randomBytes } from "node:crypto";
import { connect } from "../src/client/client.ts";
import { startCluster } from "../src/dev/cluster.ts";
import { createControlClient } from "../src/redis/control-client.ts";
import { writeKeys } from "../src/redis/write-keys.ts";
import { startEchoPeers } from "./support/echo-peers.ts";
import { type Call, measureLatencyUs, measureRate } from "./support/load.ts";
import { cpuUs } from "./support/process-cpu.ts";
import { childrenOf } from "./support/process-memory.ts";
import { printTable, report, row } from "./support/report.ts";
import { medians, warmUp } from "./support/rounds.ts";

const PAYLOAD_BYTES = 64;
const IN_FLIGHT = 64;
const CPU_MS = 3000;
const GETS = 10;
const KEY = "key";
const ISOLATES = 4;
const LIBRARY = `#!js name=bench
redis.register_async_function("noop", async () => null);
redis.register_function("get", (client, key) => client.call("get", key), ["no-writes"]);
redis.register_function("get10", (client, key) => {
  for (let i = 0; i < ${GETS}; i++) client.call("get", key);
}, ["no-writes"]);
`;
const ISOLATED = LIBRARY.replace("name=bench", `name=isolated isolates=${ISOLATES}`);

const payload = randomBytes(PAYLOAD_BYTES);
await using cluster = await startCluster({ shards: 1 });
await using echo = await startEchoPeers(payload);
const [node] = cluster.nodes;
if (!node) throw new Error("a cluster without nodes");
const { coordinator, redis } = node;
await using client = connect({ address: coordinator.address, token: cluster.token });
await using stream = client.stream();
await client.load(LIBRARY);
await client.load(ISOLATED);
await writeKeys(redis, new Map([[KEY, payload.toString("hex").slice(0, PAYLOAD_BYTES)]]));
const ioredis = createControlClient(redis, { onError: (error) => console.error(error) });
await ioredis.connect();

const calls = {
  noop: () => stream.call("bench.noop"),
  get: () => stream.call("bench.get", { keys: [KEY] }),
  get10: () => stream.call("bench.get10", { keys: [KEY] }),
  getIsolated: () => stream.call("isolated.get", { keys: [KEY] }),
  unary: echo.unary,
  ioredis: () => ioredis.get(KEY),
} satisfies Record<string, Call>;

/** CPU time of every process on a call's way, with many calls at a time. */
async function printCpu(): Promise<void> {
  const [sandbox = 0] = childrenOf(coordinator.pid ?? 0);
  const pids = { client: process.pid, coordinator: coordinator.pid ?? 0, sandbox, redis: redis.pid ?? 0 };
  const cases = ["noop", "get", "get10", "getIsolated"] as const;
  const rows: string[][] = [];
  for (const name of cases) {
    const before = Object.values(pids).map(cpuUs);
    const startMs = performance.now();
    const rate = await measureRate(calls[name], IN_FLIGHT, CPU_MS);
    const count = (rate * (performance.now() - startMs)) / 1000;
    const used = Object.values(pids).map((pid, index) => (cpuUs(pid) - (before[index] ?? 0)) / count);
    rows.push([name, ...[...used, used.reduce((sum, each) => sum + each, 0)].map((us) => us.toFixed(0))]);
  }
  console.log(`CPU time of one call in us, with ${IN_FLIGHT} at a time:`);
  printTable(["case", ...Object.keys(pids), "sum"], rows);
  console.log();
}

await warmUp(Object.values(calls), { manyMs: 10_000, aloneMs: 3000 });
const rates = await medians(calls, (call, durationMs) => measureRate(call, IN_FLIGHT, durationMs));
const latencies = await medians(calls, measureLatencyUs);
await printCpu();
ioredis.disconnect();
const toUnary = { metric: "rate", unit: "calls/s", peer: rates.unary, peerName: "grpc-unary" };
const toGet = { unit: "us", peer: latencies.ioredis, peerName: "ioredis-get" };
report("functions", [
  row({ case: "noop-64", ...toUnary, ours: rates.noop }),
  row({ case: "get-64", ...toUnary, ours: rates.get }),
  row({ case: `get-64-isolates-${ISOLATES}`, ...toUnary, ours: rates.getIsolated }),
  row({ case: "get-1", metric: "median-latency", ...toGet, ours: latencies.get }),
  row({ case: "get10-1", metric: "median-latency-per-get", ...toGet, ours: latencies.get10 / GETS }),
]);
