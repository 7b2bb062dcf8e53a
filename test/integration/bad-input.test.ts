import { readFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { status } from "@grpc/grpc-js";
import test, { type ExecutionContext } from "ava";
import { Fault, type FaultCode } from "../../src/base/fault.ts";
import { WireWriter } from "../../src/base/wire.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster, ClusterNode } from "../../src/dev/cluster.ts";
import { encodeCallRequest } from "../../src/functions/call-codec.ts";
import { decodeFrame, encodeFrame } from "../../src/mesh/frame-codec.ts";
import { METHOD } from "../../src/mesh/method.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { PLAIN_LIBRARY } from "../support/library.ts";
import { grpcMessage, rawCall } from "../support/raw-rpc.ts";

const CALL = "/gearmesh.v1.FunctionService/Call";
const CALL_STREAM = "/gearmesh.v1.FunctionService/CallStream";
const LOAD = "/gearmesh.v1.FunctionService/Load";
const LINK = "/gearmesh.v1.MeshService/Link";
const HEALTH = "/grpc.health.v1.Health/Check";
const MIB = 2 ** 20;

let cluster: Cluster;
let node: ClusterNode;
let client: GearmeshClient;
let address: string;
let pid: number | undefined;

test.before(async () => {
  cluster = await startPatientCluster({
    shards: 2,
    // Strangers may keep silent for longer than any test takes.
    env: { GEARMESH_LOG_LEVEL: "trace", GEARMESH_HANDSHAKE_TIMEOUT_MS: "60000" },
  });
  const [first] = cluster.nodes;
  if (!first) throw new Error("two nodes were started");
  node = first;
  ({ address, pid } = node.coordinator);
  client = connect({ address, token: cluster.token });
  await client.load(PLAIN_LIBRARY);
});

test.after.always(async () => {
  await client?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

// Whatever a test sent: the coordinator is the same process, has its library, and answers.
test.afterEach(async (t) => {
  t.is(node.coordinator.pid, pid);
  t.is(await client.call("plain.shards"), 2n);
});

async function refused(t: ExecutionContext, call: Promise<unknown>, code: FaultCode, text: RegExp): Promise<void> {
  const fault = await t.throwsAsync(call, { instanceOf: Fault });
  t.is(fault.code, code);
  t.regex(fault.message, text);
}

async function residentMiB(): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]) / 1024;
}

test.serial("calls of what is not there, or cannot be, say so", async (t) => {
  await refused(t, client.call("nothing.f"), "UNKNOWN_LIBRARY", /^Unknown library nothing$/);
  await refused(t, client.call("plain.nothing"), "UNKNOWN_FUNCTION", /^Unknown function nothing$/);
  await refused(t, client.call("plain.args.more"), "UNKNOWN_FUNCTION", /^Unknown function args.more$/);
  for (const name of ["", "plain", ".args", "plain."]) {
    await refused(t, client.call(name), "INVALID_ARGUMENT", /write <library>\.<function>/);
  }
  await refused(t, client.call("plain.args", { keys: ["a", "b"] }), "CROSSSLOT", /\{hash tag\}/);
  await refused(t, client.delete("nothing"), "UNKNOWN_LIBRARY", /^Unknown library nothing$/);
  t.is(await client.call("plain.args", { keys: [""] }), 1n);
});

test.serial("a body that is no request is the caller's fault, not a bug", async (t) => {
  const { token } = cluster;
  for (const [path, hex] of [
    [CALL, "0aff"],
    [CALL, "0000"],
    [CALL, "ffffffffffffffffffffff"],
    [LOAD, "0aff"],
  ] as const) {
    const end = await rawCall(address, path, grpcMessage(Buffer.from(hex, "hex")), { token });
    t.is(end.status, status.INVALID_ARGUMENT, `${path} ${hex}`);
    t.is(end.code, "INVALID_ARGUMENT");
  }
  const notUtf8 = new WireWriter().bytes(1, Buffer.from("ff2eeda080", "hex")).finish();
  t.is((await rawCall(address, CALL, grpcMessage(notUtf8), { token })).code, "UNKNOWN_LIBRARY");
});

test.serial("a text that cannot be sent as it is ends neither the coordinator nor the connection", async (t) => {
  await refused(t, client.load(`#!${"x".repeat(63)}😀 name=lib`), "LIBRARY_REFUSED", /^unknown engine/);
  await refused(t, client.load(`#!js name=${"x".repeat(63)}😀`), "LIBRARY_REFUSED", /^Unallowed library name/);
  const other = client.call("plain.hops", { args: ["20"] });
  await refused(t, client.call(`${"l".repeat(MIB)}.f`), "UNKNOWN_LIBRARY", /^Unknown library l+\.\.\.$/);
  await refused(t, client.call("plain.fail", { args: [String(MIB)] }), "FUNCTION_FAILED", /^x+\.\.\.$/);
  t.is(await other, 20n);
});

test.serial("what is too large is refused, either way", async (t) => {
  await using big = connect({ address, token: cluster.token, maxMessageBytes: 64 * MIB });
  const bytes = Buffer.alloc(17 * MIB);
  await refused(t, big.call("plain.args", { args: [bytes] }), "RESOURCE_EXHAUSTED", /larger than max/);
  await refused(t, big.load(`#!js name=big\n//${bytes}`), "RESOURCE_EXHAUSTED", /larger than max/);
  await refused(t, client.call("plain.args", { args: [bytes] }), "RESOURCE_EXHAUSTED", /larger than/);
  await refused(t, client.call("plain.long", { args: [String(9 * MIB)] }), "RESOURCE_EXHAUSTED", /8388608 bytes/);
});

test.serial("libraries that cannot be loaded leave those that are there alone", async (t) => {
  for (const [text, pattern] of [
    ["", /the first line must be like/],
    ["#!js\n1", /gives no name/],
    ["#!js name=bad\n(((", /bad:2/],
    ["#!js name=bad\nthrow new Error('no')", /no/],
    ["#!js name=bad\n1", /Neither function nor other registrations/],
  ] as const) {
    await refused(t, client.load(text), "LIBRARY_REFUSED", pattern);
  }
  await refused(t, client.load("#!js name=bad\n1", { config: "[]" }), "INVALID_ARGUMENT", /JSON object/);
  await refused(t, client.load(PLAIN_LIBRARY), "LIBRARY_EXISTS", /already exists/);
  t.deepEqual(
    (await client.list()).map(({ name }) => name),
    ["plain"],
  );
});

test.serial("timeouts beyond all bounds are taken, and what is no number is refused", async (t) => {
  await using calls = client.stream();
  for (const target of [client, calls]) {
    for (const timeoutMs of [1e15, Number.POSITIVE_INFINITY]) t.is(await target.call("plain.args", { timeoutMs }), 0n);
    await refused(t, target.call("plain.args", { timeoutMs: Number.NaN }), "INVALID_ARGUMENT", /NaN/);
    await refused(t, target.call("plain.args", { timeoutMs: 0 }), "DEADLINE_EXCEEDED", /./);
  }
});

test.serial("a call stream ends with a malformed frame or an id that is in flight, with a code", async (t) => {
  const request = (id: number, name = "plain.hops") =>
    ({
      kind: "request",
      id,
      timeoutMs: 0,
      depth: 0,
      method: METHOD.CALL,
      body: encodeCallRequest({ function: name, keys: [], args: [Buffer.from("50")] }),
    }) as const;
  const send = (frame: Uint8Array) => rawCall(address, CALL_STREAM, grpcMessage(frame), { token: cluster.token });
  t.like(await send(Buffer.from("0aff", "hex")), { code: "INVALID_ARGUMENT", text: "malformed frame" });
  t.like(await send(encodeFrame([request(7), request(7)])), { code: "INVALID_ARGUMENT" });
});

test.serial("a client's calls count as calls from outside, however deep it says they are", async (t) => {
  const session = connectHttp2(`http://${address}`);
  const stream = session.request({
    ":method": "POST",
    ":path": CALL_STREAM,
    "content-type": "application/grpc",
    te: "trailers",
    authorization: `Bearer ${cluster.token}`,
  });
  const body = encodeCallRequest({ function: "plain.args", keys: [], args: [] });
  const envelope = { kind: "request", id: 1, timeoutMs: 0, depth: 1000, method: METHOD.CALL, body } as const;
  const answer = new Promise<Buffer>((resolve) => stream.once("data", resolve));
  stream.write(grpcMessage(encodeFrame([envelope])));
  t.is(decodeFrame((await answer).subarray(5))[0]?.kind, "response");
  session.destroy();
});

for (const path of [LINK, HEALTH]) {
  test.serial(`before a token was shown, ${path} keeps no large message`, async (t) => {
    const end = await rawCall(address, path, grpcMessage(Buffer.alloc(4097)), { halfClose: false });
    t.is(end.status, status.RESOURCE_EXHAUSTED);
    const before = await residentMiB();
    const part = grpcMessage(Buffer.alloc(15 * MIB)).subarray(0, 14 * MIB);
    const ends = await Promise.all(
      Array.from({ length: 16 }, () => rawCall(address, path, part, { halfClose: false })),
    );
    // Who goes on sending may find the connection gone before it has read the refusal.
    t.true(ends.every((each) => each.status === status.RESOURCE_EXHAUSTED || each.status === undefined));
    t.true((await residentMiB()) - before < 64, "16 x 14 MiB were sent");
  });
}

test.serial("strangers who open links and say nothing do not keep a peer out", async (t) => {
  const session = connectHttp2(`http://${address}`);
  session.on("error", () => undefined);
  for (let i = 0; i < 300; i++) {
    const headers = { ":method": "POST", ":path": LINK, "content-type": "application/grpc", te: "trailers" };
    session.request(headers).on("error", () => undefined);
  }
  const [, other] = cluster.nodes;
  if (!other) return t.fail();
  await other.coordinator.kill();
  await other.coordinator.start();
  const startedAt = performance.now();
  await using fromOther = connect({ address: other.coordinator.address, token: cluster.token });
  await eventually(async () => (await fromOther.call("plain.shards")) === 2n, { what: "a link despite the strangers" });
  t.true(performance.now() - startedAt < 10_000);
  session.destroy();
  await eventually(async () => (await client.call("plain.shards")) === 2n, { what: "the link back" });
});

test.serial("the log never shows a token, not even one that came with a wrong character", async (t) => {
  const { token } = cluster;
  const headers = { authorization: `Bearer ${token}\u00e9` };
  t.is((await rawCall(address, CALL, grpcMessage(Buffer.alloc(0)), { headers })).code, "UNAUTHENTICATED");
  for (const { coordinator } of cluster.nodes) {
    const log = await readFile(coordinator.logPath, "utf8");
    t.false(log.includes(token));
    const foreign = log.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
    t.deepEqual(foreign, [], "nothing but our log writes");
  }
});
