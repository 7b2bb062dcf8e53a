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
import { medians, warmUp } from "./support/rounds.ts";

const PAYLOAD_BYTES = 64;
const TIMEOUT_MS = 10_000;
const PEERS = ["grpc-unary", "tcp-floor"] as const;

const payload = randomBytes(PAYLOAD_BYTES);
const token = randomBytes(24).toString("hex");

await using far = await startProcess<{ port: number }>("support/mesh-process.ts", { env: { BENCH_TOKEN: token } });
await using echo = await startEchoPeers(payload);
const mesh = createMesh("near", token, new Map());
mesh.setPeers([{ nodeId: "far", address: `127.0.0.1:${far.ready.port}` }]);
const peer = await mesh.whenLinked("far", deadlineIn(TIMEOUT_MS));

const calls: Readonly<Record<"ours" | (typeof PEERS)[number], Call>> = {
  ours: () => peer.request(METHOD.CALL, payload, { deadline: deadlineIn(TIMEOUT_MS), signal: NEVER_ABORTED, depth: 0 }),
  "grpc-unary": echo.unary,
  "tcp-floor": echo.tcp,
};

await warmUp(Object.values(calls), { manyMs: 5000, aloneMs: 3000 });
const rates = await medians(calls, (call, durationMs) => measureRate(call, 64, durationMs));
const latencies = await medians(calls, measureLatencyUs);
const rows = (results: Readonly<Record<keyof typeof calls, number>>, fields: Pick<Row, "case" | "metric" | "unit">) =>
  PEERS.map((peerName) => row({ ...fields, ours: results.ours, peer: results[peerName], peerName }));
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
report("mesh", [
  ...rows(rates, { case: "echo-64", metric: "rate", unit: "calls/s" }),
  ...rows(latencies, { case: "echo-1", metric: "median-latency", unit: "us" }),
  codec,
]);
