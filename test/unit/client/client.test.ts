import { type AddressInfo, createConnection, createServer } from "node:net";
import type { ServerUnaryCall, ServerWritableStream, sendUnaryData, UntypedServiceImplementation } from "@grpc/grpc-js";
import test, { type ExecutionContext } from "ava";
import { Fault, type FaultCode } from "../../../src/base/fault.ts";
import { connect } from "../../../src/client/client.ts";
import { decodeCallRequest, encodeCallResponse } from "../../../src/functions/call-codec.ts";
import { encodeValue, type Value } from "../../../src/functions/value.ts";
import { statusOf } from "../../../src/grpc/status.ts";
import { eventually } from "../../support/eventually.ts";
import { AnsweringServer } from "./answering-server.ts";

type Answer = (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => void;

/** A server that answers `Call` as the test says, and the client connected to it. */
async function start(t: ExecutionContext, answer: Answer, more: UntypedServiceImplementation = {}) {
  const { server, address } = await AnsweringServer.start({ Call: answer, ...more });
  const client = connect({ address, token: "0123456789abcdef" });
  t.teardown(() => {
    client.close();
    server.stop();
  });
  return { client, server, address };
}

const answering =
  (value: Value): Answer =>
  (_call, done) =>
    done(null, encodeCallResponse(encodeValue(value)));

async function faultOf(t: ExecutionContext, call: Promise<unknown>, code: FaultCode): Promise<Fault> {
  const fault = await t.throwsAsync(call, { instanceOf: Fault });
  t.is(fault.code, code, fault.message);
  return fault;
}

test("function, keys, arguments and token arrive as they were given", async (t) => {
  const seen: unknown[] = [];
  const { client } = await start(t, (call, done) => {
    seen.push(decodeCallRequest(call.request), call.metadata.get("authorization"));
    done(null, encodeCallResponse(encodeValue(null)));
  });
  const bytes = Uint8Array.of(0, 255);
  t.is(await client.call("lib.fn", { keys: ["k"], args: ["ä", bytes] }), null);
  t.deepEqual(seen, [
    { function: "lib.fn", keys: [Buffer.from("k")], args: [Buffer.from("ä"), Buffer.from(bytes)] },
    ["Bearer 0123456789abcdef"],
  ]);
});

test("replies keep their types; bulk strings are strings, or bytes on request", async (t) => {
  const value = new Map<Value, Value>([
    ["list", [1n, 2.5, true, null, "text"]],
    ["set", new Set<Value>(["a"])],
    ["big", 2n ** 70n],
    ["bytes", Uint8Array.of(0xff)],
  ]);
  const { client } = await start(t, answering(value));
  t.deepEqual(
    await client.call("lib.fn"),
    new Map<string, unknown>([
      ["list", [1n, 2.5, true, null, "text"]],
      ["set", new Set(["a"])],
      ["big", 2n ** 70n],
      ["bytes", "\ufffd"],
    ]) as never,
  );
  const raw = await client.call("lib.fn", { raw: true });
  t.true(raw instanceof Map);
  if (raw instanceof Map) t.deepEqual(raw.get("bytes"), Buffer.of(0xff));
});

test("a fault keeps its code and message, whatever gRPC status stands for it", async (t) => {
  const { client } = await start(t, (_call, done) => done(statusOf(new Fault("CROSSSLOT", "two slots"))));
  const fault = await faultOf(t, client.call("lib.fn"), "CROSSSLOT");
  t.is(fault.message, "two slots");
});

test("a malformed reply is a bug of the far side, not an exception of ours", async (t) => {
  const { client } = await start(t, (_call, done) => done(null, Buffer.of(0x0a, 0x7f)));
  await faultOf(t, client.call("lib.fn"), "INTERNAL");
});

test("a call ends at its deadline", async (t) => {
  const { client } = await start(t, () => undefined);
  await faultOf(t, client.call("lib.fn", { timeoutMs: 30 }), "DEADLINE_EXCEEDED");
});

test("an aborted signal cancels the call on both sides", async (t) => {
  const abort = new AbortController();
  const cancelled = Promise.withResolvers<void>();
  const { client } = await start(t, (call) => {
    call.once("cancelled", () => cancelled.resolve());
    abort.abort();
  });
  await faultOf(t, client.call("lib.fn", { signal: abort.signal }), "CANCELLED");
  await cancelled.promise;
  await faultOf(t, client.call("lib.fn", { signal: abort.signal }), "CANCELLED");
});

test("where nothing listens, nothing was done", async (t) => {
  const client = connect({ address: "127.0.0.1:1", token: "0123456789abcdef" });
  await faultOf(t, client.call("lib.fn"), "UNAVAILABLE");
  client.close();
});

test("a server that stops under a call leaves open whether it ran", async (t) => {
  const arrived = Promise.withResolvers<void>();
  const { client, server } = await start(t, () => arrived.resolve());
  const call = client.call("lib.fn");
  await arrived.promise;
  server.stop();
  await faultOf(t, call, "INDETERMINATE");
});

test("so does a connection that breaks under it", async (t) => {
  const arrived = Promise.withResolvers<void>();
  const { address } = await start(t, () => arrived.resolve());
  const proxy = createServer((socket) => {
    const onward = createConnection(Number(address.split(":")[1]), "127.0.0.1");
    socket.pipe(onward).pipe(socket);
    socket.on("close", () => onward.destroy()).on("error", () => undefined);
    onward.on("error", () => socket.destroy());
    void arrived.promise.then(() => socket.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const client = connect({ address: `127.0.0.1:${(proxy.address() as AddressInfo).port}`, token: "0123456789abcdef" });
  await faultOf(t, client.call("lib.fn"), "INDETERMINATE");
  client.close();
  proxy.close();
});

test("a closed client refuses calls", async (t) => {
  const { client } = await start(t, answering(1n));
  client.close();
  client.close();
  await faultOf(t, client.call("lib.fn"), "CANCELLED");
});

test("health says whether the coordinator serves", async (t) => {
  const { client, server } = await start(t, answering(1n));
  t.is(await client.health(), "not-serving");
  server.health.set(true);
  t.is(await client.health(), "serving");
});

test("watching the topology ends the stream when the loop ends, and when the signal aborts", async (t) => {
  const shard = {
    id: "a",
    host: "h",
    port: 1,
    coordinatorAddress: "h:2",
    slots: [{ start: 0, end: 9 }],
    epoch: 4,
    link: "LINK_STATE_OPEN",
  };
  const topology = {
    version: 1,
    hash: "x",
    nodeId: "n",
    nodeName: "gearmesh-1",
    role: "ROLE_ACTIVE",
    mode: "MODE_MANUAL",
    shards: [shard],
  };
  let ended = 0;
  const { client } = await start(t, answering(null), {
    WatchTopology: (call: ServerWritableStream<object, object>) => {
      call.once("cancelled", () => ended++);
      for (const version of [1, 2, 3]) call.write({ topology: { ...topology, version } });
    },
  });
  for await (const seen of client.watchTopology()) {
    t.like(seen, { version: 1, role: "active", mode: "manual", nodeName: "gearmesh-1" });
    t.deepEqual(seen.shards[0], { ...shard, link: "open" });
    break;
  }
  const abort = new AbortController();
  const versions: number[] = [];
  for await (const { version } of client.watchTopology({ signal: abort.signal })) {
    versions.push(version);
    if (version === 3) abort.abort();
  }
  t.deepEqual(versions, [1, 2, 3]);
  await eventually(() => ended === 2, { what: "both streams cancelled on the server" });
});
