import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { payloadOf } from "../../../src/base/json-payload.ts";
import { roomMessage as roomMessageCodec } from "../../../src/rooms/room-codec.ts";
import { eventually } from "../../support/eventually.ts";
import { deliveryOf, startConnections } from "./connection-server.ts";

/** What the callbacks of this file threw, which must come up as uncaught exceptions and nowhere else. */
const uncaught: unknown[] = [];

test.before(() => process.setUncaughtExceptionCaptureCallback((thrown) => uncaught.push(thrown)));
test.after.always(() => process.setUncaughtExceptionCaptureCallback(null));

test("what callbacks throw is uncaught, and neither costs a delivery nor breaks a link", async (t) => {
  const { client, sessions } = await startConnections(t);
  const called: string[] = [];
  const thrower = (name: string) => () => {
    called.push(name);
    throw new Error(name);
  };
  await using connection = await client.open({
    onMessage: thrower("message"),
    onRoomMessage: thrower("room message"),
    onMissed: thrower("missed"),
    onLost: thrower("lost"),
    onResumed: thrower("resumed"),
    onClosed: thrower("closed"),
  });
  const said = { room: "r", from: "0", message: payloadOf("hello"), context: "room", sentAtMs: 1 };
  const roomMessage = roomMessageCodec.encode(said);
  sessions[0]?.send(
    deliveryOf(1, { message: payloadOf("hello") }),
    deliveryOf(2, { roomMessage }),
    deliveryOf(3, { missed: { count: 1, unknown: false } }),
    deliveryOf(4, { message: payloadOf("again") }),
  );
  await eventually(() => sessions[0]?.received.at(-1) === 4, { what: "the acknowledgement of all" });
  t.true(connection.isLinked);
  sessions[0]?.close(new Fault("UNAVAILABLE", "the coordinator stops"));
  await eventually(() => called.includes("resumed"), { what: "the connection again" });
  t.true(connection.isLinked);
  t.is(sessions.length, 2);
  t.deepEqual(await connection.verb("detailsView"), null);
  sessions[1]?.close(new Fault("CANCELLED", "the connection was destroyed"));
  await eventually(() => called.includes("closed"), { what: "the end of the connection" });
  const all = ["message", "room message", "missed", "message", "lost", "resumed", "closed"];
  t.deepEqual(called, all);
  await eventually(() => uncaught.length >= all.length, { what: "what they threw" });
  t.deepEqual(
    uncaught.map((thrown) => (thrown as Error).message),
    all,
  );
});
