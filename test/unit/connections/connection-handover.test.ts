import { Buffer } from "node:buffer";
import test from "ava";
import { payloadOf, payloadValue } from "../../../src/base/json-payload.ts";
import { hashOf, newConnectionId } from "../../../src/connections/resume-token.ts";
import { delivery, takeOverRequest, takeOverResponse } from "../../../src/connections/session-codec.ts";
import { ConnectionNetwork, heardOf } from "../../support/connection-network.ts";
import { faultOf, faultText } from "../../support/fault-of.ts";

const RETENTION_MS = 10_000;

function requestOf(token: string, receivedSequence = 0): Uint8Array {
  const connectionId = token.slice(0, token.indexOf("."));
  return takeOverRequest.encode({ connectionId, tokenHash: Buffer.from(hashOf(token), "hex"), receivedSequence });
}

test("a connection is handed over as it is, with what its client has not received", async (t) => {
  const { a, b } = new ConnectionNetwork();
  const first = await a.open({ type: "game", params: new Map([["lang", payloadOf("de")]]) });
  await a.operate(first.connection, "set", "auth", true);
  await a.operate(first.connection, "joinRoom", "lobby");
  for (const message of [1, 2, 3, 4]) await a.operate(first.connection, "sendMessage", message);
  first.connection.totalActions = 7;
  const { connection, response } = await b.resume(first.token, 2);
  t.deepEqual(response.details, { ...first.connection.details("b") });
  t.deepEqual(
    [...connection.attributes].map(([key, value]) => [key, payloadValue(value)]),
    [["auth", true]],
  );
  t.deepEqual(heardOf(connection).heard, [3, 4]);
  t.deepEqual(b.rooms.asked, [`adopt ${connection.id} lobby`]);
  t.is(first.link.fault?.code, "CANCELLED");
  t.deepEqual(a.observed, ["new", "taken-over"]);
  await b.operate(connection, "sendMessage", 5);
  t.deepEqual(heardOf(connection), { heard: [5], received: 5 });
});

test("what is handed over does not change with what it was made of", async (t) => {
  const { a, b } = new ConnectionNetwork();
  const first = await a.openAndLeave();
  await a.operate(first.connection, "set", "k", "before");
  const { connection } = await b.resume(first.token);
  for (const value of first.connection.attributes.values()) value.fill(0);
  t.is(payloadValue(connection.attributes.get("k") ?? payloadOf(null)), "before");
});

test("a node that asks again because its claim failed gets the same again, and so does another one", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b, c } = network;
  for (const second of [b, c]) {
    const { connection, token } = await a.openAndLeave();
    for (const message of [1, 2, 3]) await a.operate(connection, "sendMessage", message);
    b.directory.refused.set("claim", "UNAVAILABLE");
    t.is((await faultOf(b.resume(token))).code, "UNAVAILABLE");
    t.deepEqual(network.holdersOf(connection.id), []);
    b.directory.refused.clear();
    const resumed = await second.resume(token);
    t.deepEqual(heardOf(resumed.connection).heard, [1, 2, 3]);
    t.is(resumed.connection.log.lastSequence, 3);
  }
});

test("a client that comes back to the node which handed its connection over in vain gets what that kept", async (t) => {
  const { a, b } = new ConnectionNetwork();
  const { connection, token } = await a.openAndLeave();
  for (const message of [1, 2, 3]) await a.operate(connection, "sendMessage", message);
  b.directory.refused.set("claim", "UNAVAILABLE");
  await faultOf(b.resume(token));
  t.deepEqual(heardOf((await a.resume(token, 1)).connection).heard, [2, 3]);
});

test("of more than one message holds the newest is handed over, and the client is told what it missed", async (t) => {
  const { a, b, c } = new ConnectionNetwork({ maxMessageBytes: 2500 });
  const { connection, token } = await a.openAndLeave();
  for (let i = 0; i < 20; i++) await a.operate(connection, "sendMessage", `${i} ${"x".repeat(200)}`);
  const numbers = (heard: readonly unknown[]) => heard.map((value) => String(value).replace(/ x+$/, ""));
  const second = await b.resume(token);
  const [missed, ...rest] = numbers(heardOf(second.connection).heard);
  t.is(missed, `missed ${20 - rest.length}`);
  t.deepEqual(
    rest,
    Array.from({ length: rest.length }, (_, i) => String(20 - rest.length + i)),
  );
  t.true(rest.length > 3 && rest.length < 10, String(rest.length));
  // That it is not known what else was missed gives way to nothing.
  b.isLinked = false;
  const third = await c.resume(second.token);
  for (let i = 0; i < 20; i++) await c.operate(third.connection, "sendMessage", `${i} ${"x".repeat(200)}`);
  const { heard } = heardOf((await a.resume(third.token)).connection);
  t.is(heard[0], "unknown");
  t.is(numbers(heard).at(-1), "19");
});

test("a node that was asked for the connection while it resumed that itself has it, if it was first", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b, c } = network;
  const { connection, token } = await a.openAndLeave();
  await a.operate(connection, "sendMessage", "kept");
  const find = b.directory.stop("find", "answer");
  const there = faultOf(b.resume(token));
  await find.reached;
  const claim = a.directory.stop("claim", "answer");
  const here = a.resume(token);
  await claim.reached;
  find.release();
  t.is((await there).code, "UNAUTHENTICATED");
  t.deepEqual(network.holdersOf(connection.id), []);
  claim.release();
  const resumed = await here;
  t.deepEqual(network.holdersOf(connection.id), ["a"]);
  t.deepEqual(heardOf(resumed.connection).heard, ["kept"]);
  t.is((await c.resume(resumed.token)).connection.id, connection.id);
});

test("what was handed over is kept for a while, for whoever has the token", async (t) => {
  const { a, b, clock } = new ConnectionNetwork();
  const { connection, token } = await a.openAndLeave();
  await a.operate(connection, "sendMessage", 1);
  const answer = a.handover.fromPeer(requestOf(token));
  const { deliveries } = takeOverResponse.decode(answer);
  t.is(deliveries.length, 1);
  t.is(payloadValue(delivery.decode(deliveries[0] ?? Buffer.of()).message ?? payloadOf(null)), 1);
  clock.advance(RETENTION_MS - 1);
  t.is(a.handover.fromPeer(requestOf(token)), answer);
  const forged = `${connection.id}.${"A".repeat(43)}`;
  t.regex(await faultText((async () => a.handover.fromPeer(requestOf(forged)))()), /^UNKNOWN_CONNECTION/);
  clock.advance(1);
  t.regex(await faultText((async () => a.handover.fromPeer(requestOf(token)))()), /^UNKNOWN_CONNECTION/);
  t.deepEqual(heardOf((await b.resume(token)).connection).heard, ["unknown"]);
});

test("nothing is handed over for a wrong token, of a connection that is not here or has ended, or to a malformed request", async (t) => {
  const { a } = new ConnectionNetwork();
  const { connection, token } = await a.open();
  const handOver = async (body: Uint8Array) => a.handover.fromPeer(body);
  const code = async (body: Uint8Array) => (await faultOf(handOver(body))).code;
  t.is(await code(requestOf(`${connection.id}.${"A".repeat(43)}`)), "UNAUTHENTICATED");
  t.is(await code(requestOf(`${newConnectionId()}.${"A".repeat(43)}`)), "UNKNOWN_CONNECTION");
  t.is(await code(Buffer.of(0xff)), "INVALID_ARGUMENT");
  t.true(a.held.isHeld(connection));
  a.directory.refused.set("remove", "UNAVAILABLE");
  await a.held.end(connection, "quit");
  t.is(await code(requestOf(token)), "UNAUTHENTICATED");
});
