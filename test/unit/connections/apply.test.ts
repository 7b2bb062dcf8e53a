import { Buffer } from "node:buffer";
import test from "ava";
import { type JsonValue, payloadValue } from "../../../src/base/json-payload.ts";
import { newConnectionId } from "../../../src/connections/resume-token.ts";
import { applyRequest, applyResponse, type ConnectionDetails } from "../../../src/connections/session-codec.ts";
import {
  ConnectionNetwork,
  type ConnectionNode,
  contextOf,
  heardOf,
  payloads,
  settled,
} from "../../support/connection-network.ts";
import { faultOf, faultText } from "../../support/fault-of.ts";

interface Applied {
  readonly details: ConnectionDetails | undefined;
  readonly result: JsonValue | Uint8Array | undefined;
}

async function apply(node: ConnectionNode, connectionId: string, method = "", ...args: unknown[]): Promise<Applied> {
  const body = applyRequest.encode({ connectionId, method, args: payloads(...args), timeoutMs: 0 });
  const { details, result } = applyResponse.decode(await node.apply.fromClient(body, contextOf()));
  return { details, result: result && payloadValue(result) };
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return (await faultOf(call)).code;
}

test("a connection is read and changed from every node", async (t) => {
  const { a, b, c } = new ConnectionNetwork();
  const { connection } = await a.open({ type: "game", methods: ["dance"] });
  for (const node of [a, b, c]) {
    t.like((await apply(node, connection.id)).details, { id: connection.id, type: "game", node: "a" });
    const { details, result } = await apply(node, connection.id, "set", "by", node.name);
    t.is(result, undefined);
    t.is(payloadValue(details?.attributes.get("by") ?? Buffer.of()), node.name);
    t.deepEqual((await apply(node, connection.id, "dance", 1, "x")).result, { method: "dance", args: [1, "x"] });
    t.is(await codeOf(apply(node, connection.id, "sing")), "UNKNOWN_METHOD");
    await apply(node, connection.id, "sendMessage", node.name);
  }
  t.deepEqual(heardOf(connection).heard, ["a", "b", "c"]);
  await apply(c, connection.id, "destroy");
  for (const node of [a, b, c]) t.is(await codeOf(apply(node, connection.id)), "UNKNOWN_CONNECTION");
});

test("what is asked for while the connection moves is done where it is then, once", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b, c } = network;
  const { connection, token } = await a.openAndLeave();
  await apply(c, connection.id);
  const put = a.directory.stop("put", "request");
  const first = apply(c, connection.id, "set", "k", 1);
  const waiting = ["x", "y", "z"].map((message, i) =>
    apply(network.nodes[i] ?? a, connection.id, "sendMessage", message),
  );
  await put.reached;
  await settled();
  const resumed = await b.resume(token);
  put.release();
  const done = await Promise.allSettled([first, ...waiting]);
  t.deepEqual(
    done.map(({ status }) => status),
    Array(4).fill("fulfilled"),
  );
  t.deepEqual([...heardOf(resumed.connection).heard].sort(), ["x", "y", "z"]);
  t.is((await apply(c, connection.id)).details?.node, "b");
});

test("what is asked of a connection that nobody holds, or of none, is told so", async (t) => {
  const { a, b } = new ConnectionNetwork();
  t.is(await codeOf(apply(a, newConnectionId())), "UNKNOWN_CONNECTION");
  t.is(await codeOf(apply(a, "nonsense")), "UNKNOWN_CONNECTION");
  t.is(await codeOf(apply(a, "")), "INVALID_ARGUMENT");
  t.is(await codeOf(a.apply.fromClient(Buffer.of(0xff), contextOf())), "INVALID_ARGUMENT");
  const { connection } = await a.open();
  const noPayload = applyRequest.encode({
    connectionId: connection.id,
    method: "set",
    args: [Buffer.of(0xff)],
    timeoutMs: 0,
  });
  t.is(await codeOf(b.apply.fromClient(noPayload, contextOf())), "INVALID_ARGUMENT");
  const fromPeer = applyRequest.encode({ connectionId: connection.id, method: "", args: [], timeoutMs: 0 });
  t.is(await codeOf(b.apply.fromPeer(fromPeer, contextOf())), "UNKNOWN_CONNECTION");
  a.isLinked = false;
  t.is(await codeOf(apply(b, connection.id)), "UNAVAILABLE");
});

test("what takes longer than its timeout fails with it, and is not done afterwards", async (t) => {
  const { a } = new ConnectionNetwork();
  const { connection } = await a.open();
  const put = a.directory.stop("put", "request");
  const set = a.operate(connection, "set", "k", 1);
  const body = applyRequest.encode({
    connectionId: connection.id,
    method: "sendMessage",
    args: payloads("late"),
    timeoutMs: 20,
  });
  t.is(await faultText(a.apply.fromClient(body, contextOf())), "DEADLINE_EXCEEDED: RPC Timeout");
  put.release();
  await set;
  await settled();
  t.deepEqual(heardOf(connection).heard, []);
});
