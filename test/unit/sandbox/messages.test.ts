import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { WireError, WireWriter } from "../../../src/base/wire.ts";
import { decodeOrder, encodeOrder, type Order } from "../../../src/sandbox/orders.ts";
import { decodeReport, encodeReport, type Report } from "../../../src/sandbox/reports.ts";

const LIMITS = {
  libraryMaxMemoryMb: 128,
  runTimeoutMs: 500,
  loadTimeoutMs: 5000,
  lockRedisTimeoutMs: 500,
  maxResultBytes: 1024,
  maxIsolates: 4,
  errorVerbosity: 1,
};

const ORDERS: readonly Order[] = [
  { kind: "configure", configuration: { limits: LIMITS, redis: { endpoint: { host: "::1", port: 1 } } }, traceMs: 9 },
  { kind: "load", id: 1, library: { name: "lib", hash: "ab", text: "#!js name=lib\n", config: "{}" } },
  { kind: "unload", hash: "ab" },
  {
    kind: "run",
    id: 2,
    timeoutMs: 0,
    tellsBlocks: true,
    run: { hash: "ab", function: "f", kind: "function", args: [Buffer.from("k"), Buffer.alloc(0)] },
  },
  {
    kind: "run",
    id: 3,
    timeoutMs: 9,
    tellsBlocks: false,
    run: { hash: "ab", function: "f", kind: "remote", args: [] },
  },
  {
    kind: "run",
    id: 5,
    timeoutMs: 9,
    tellsBlocks: false,
    run: { hash: "ab", function: "f", kind: "remote", args: [], asking: true },
  },
  {
    kind: "run",
    id: 6,
    timeoutMs: 9,
    tellsBlocks: false,
    run: { hash: "ab", function: "room.join", kind: "method", args: [] },
  },
  { kind: "cancel", id: 3 },
  {
    kind: "remote-answer",
    runId: 4,
    callId: 5,
    snapshot: { version: 3, masters: ["127.0.0.1:1", "[::1]:2"], hasChanged: true },
    outcomes: [
      { ok: true, payload: Buffer.from("p") },
      { ok: false, error: "shard 127.0.0.1:1: Timeout" },
      { ok: true, payload: Buffer.from("q") },
    ],
  },
  { kind: "remote-answer", runId: 4, callId: 6, snapshot: undefined, outcomes: [{ ok: false, error: "no" }] },
  { kind: "credentials", credentials: { username: "u", password: "p" } },
  { kind: "credentials", credentials: undefined },
];

for (const order of ORDERS) {
  test(`an order survives the wire: ${order.kind} ${ORDERS.indexOf(order)}`, (t) => {
    t.deepEqual(decodeOrder(encodeOrder(order)), order);
  });
}

const REPORTS: readonly Report[] = [
  { kind: "ready" },
  { kind: "moved", text: "MOVED 1 :6379" },
  {
    kind: "loaded",
    id: 1,
    registrations: {
      functions: [{ name: "f", isAsync: true, flags: ["no-writes"], description: "d" }],
      remoteFunctions: ["r"],
      rpcMethods: ["room.join"],
      tasks: [],
      middleware: [],
    },
  },
  { kind: "result", id: 2, result: Buffer.from("v") },
  { kind: "block", id: 2, times: { startedAtMs: 1_795_848_000_000.25, endedAtMs: 1_795_848_000_001.125 } },
  {
    kind: "remote-call",
    runId: 3,
    callId: 4,
    remoteFunction: "r",
    timeoutMs: 9,
    rerunOnChange: true,
    key: undefined,
    args: [Buffer.from("a")],
  },
  {
    kind: "remote-call",
    runId: 3,
    callId: 5,
    remoteFunction: "r",
    timeoutMs: undefined,
    rerunOnChange: false,
    key: Buffer.alloc(0),
    args: [],
  },
  { kind: "publish", runId: 3, callId: 6, messageType: "news", payload: Buffer.from("p") },
  { kind: "progress", id: 3, progress: Buffer.from("p") },
  { kind: "background", id: 3 },
  { kind: "over", id: 3 },
  { kind: "alive", rssBytes: 123_456_789 },
  { kind: "log", library: "lib", text: "hello" },
  { kind: "stuck", id: 9, reason: "library lib cannot be ended", loadId: 8 },
  { kind: "running", loadId: 3 },
  { kind: "running", loadId: 0 },
  { kind: "running", loadId: undefined },
  { kind: "credentials" },
];

for (const report of REPORTS) {
  test(`a report survives the wire: ${report.kind} ${REPORTS.indexOf(report)}`, (t) => {
    t.deepEqual(decodeReport(encodeReport(report)), report);
  });
}

test("a fault survives the wire; a code that is none becomes INTERNAL", (t) => {
  const report = decodeReport(encodeReport({ kind: "failed", id: 6, fault: new Fault("MOVED", "MOVED 1 a:1") }));
  t.like(report, { kind: "failed", id: 6, fault: { code: "MOVED", message: "MOVED 1 a:1" } });
  const odd = decodeReport(new WireWriter().uint(1, 4).uint(2, 6).string(3, "ODD").string(4, "text").finish());
  t.like(odd, { kind: "failed", fault: { code: "INTERNAL" } });
});

test("an unknown kind of run is refused", (t) => {
  t.throws(() => decodeOrder(new WireWriter().uint(1, 4).uint(6, 99).finish()), { instanceOf: WireError });
});

test("an unknown kind and an empty frame are refused", (t) => {
  for (const frame of [new WireWriter().uint(1, 99).finish(), Buffer.alloc(0)]) {
    t.throws(() => decodeOrder(frame), { instanceOf: WireError });
    t.throws(() => decodeReport(frame), { instanceOf: WireError });
  }
});
