/**
 * One request from a coordinator to another and back, over an authenticated link with correlation and deadlines, against what
 * plain gRPC needs for it and what a bare TCP connection needs.
 */
import { randomBytes } from "node:crypto";
import { NEVER_ABORTED } from "../src/base/call-context.ts";
import { deadlineIn } from "../src/base/deadline.ts";
import { METHOD } from "../src/mesh/method.ts";
import { startProcess } from "./support/child-process.ts";
import { measureCodec } from "./support/codec-cost.ts";
import { startEchoPeers } from "./support/echo-peers.ts";
import { type Call, measureLatencyUs, measureRate } from "./support/load.ts";
import { createMesh } from "./support/mesh-node.ts";
import { type Row, report, row } from "./support/report.ts";
import { median } from "./support/statistics.ts";

const PAYLOAD_BYTES = 64;
/** Many and short: the machine's own speed changes within seconds. */
const ROUNDS = 21;
const MEASURE_MS = 350;
/** Until V8 has compiled what is hot, for many calls at a time and for one. */
const WARM_UP_MS = 5000;
const WARM_UP_ALONE_MS = 3000;
const TIMEOUT_MS = 10_000;
const PEERS = ["grpc-unary", "tcp-floor"] as const;

const payload = randomBytes(PAYLOAD_BYTES);
const token = randomBytes(24).toString("hex");

await using far = await startProcess<{ port: number }>("support/mesh-process.ts", { BENCH_TOKEN: token });
await using echo = await startEchoPeers(payload);
const mesh = createMesh("near", token, new Map());
mesh.setPeers([{ nodeId: "far", address: `127.0.0.1:${far.ready.port}` }]);
const peer = await mesh.whenLinked("far", deadlineIn(TIMEOUT_MS));

const calls: Readonly<Record<"ours" | (typeof PEERS)[number], Call>> = {
  ours: () => peer.request(METHOD.CALL, payload, { deadline: deadlineIn(TIMEOUT_MS), signal: NEVER_ABORTED, depth: 0 }),
  "grpc-unary": echo.unary,
  "tcp-floor": echo.tcp,
};

/** Rounds interleave, so that what else the machine does hits all alike. */
async function compare(measure: (call: Call) => Promise<number>, fields: Pick<Row, "case" | "metric" | "unit">) {
  const results = { ours: [] as number[], "grpc-unary": [] as number[], "tcp-floor": [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of ["ours", ...PEERS] as const) results[name].push(await measure(calls[name]));
  }
  return PEERS.map((peerName) =>
    row({ ...fields, ours: median(results.ours), peer: median(results[peerName]), peerName }),
  );
}

for (const call of Object.values(calls)) {
  await measureRate(call, 64, WARM_UP_MS);
  await measureLatencyUs(call, WARM_UP_ALONE_MS);
}
const rate = await compare((call) => measureRate(call, 64, MEASURE_MS), {
  case: "echo-64",
  metric: "rate",
  unit: "calls/s",
});
const latency = await compare((call) => measureLatencyUs(call, MEASURE_MS), {
  case: "echo-1",
  metric: "median-latency",
  unit: "us",
});
const { hand, protoLoader } = measureCodec(payload);
const codec = row({
  case: "envelope-codec",
  metric: "time",
  unit: "us",
  ours: hand,
  peer: protoLoader,
  peerName: "proto-loader",
});
await mesh.close("the bench is over");
report("mesh", [...rate, ...latency, codec]);
