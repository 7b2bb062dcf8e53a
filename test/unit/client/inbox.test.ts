import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { payloadOf } from "../../../src/base/json-payload.ts";
import type { Envelope } from "../../../src/mesh/envelope.ts";
import { eventually } from "../../support/eventually.ts";
import { deliveryOf, startConnections } from "./connection-server.ts";

const stopping = new Fault("UNAVAILABLE", "the coordinator stops");

function message(sequence: number): Envelope {
  return deliveryOf(sequence, { message: payloadOf(sequence) });
}

test("a notice counts as the last delivery that was missed: it is heard once, and acknowledged", async (t) => {
  const heard: unknown[] = [];
  const { client, sessions } = await startConnections(t);
  await using connection = await client.open({
    onMessage: (said) => heard.push(said),
    onMissed: (count) => heard.push({ missed: count }),
  });
  const missed = deliveryOf(5, { missed: { count: 4, unknown: false } });
  const unknown = deliveryOf(8, { missed: { count: 0, unknown: true } });
  sessions[0]?.send(message(1), missed, missed, message(4), message(6), unknown, unknown, message(7), message(9));
  await eventually(() => heard.length >= 5, { what: "five deliveries" });
  t.deepEqual(heard, [1, { missed: 4 }, 6, { missed: "unknown" }, 9]);
  await eventually(() => sessions[0]?.received.at(-1) === 9, { what: "the acknowledgement" });
  t.is(connection.resumePoint.receivedSequence, 9);
});

test("a notice alone is acknowledged, and is where the connection is resumed behind", async (t) => {
  const { client, sessions } = await startConnections(t);
  await using _connection = await client.open();
  sessions[0]?.send(deliveryOf(30, { missed: { count: 30, unknown: false } }));
  await eventually(() => sessions[0]?.received.at(-1) === 30, { what: "the acknowledgement" });
  sessions[0]?.close(stopping);
  await eventually(() => sessions[1]?.opened[0], { what: "an attempt to resume it" });
  t.is(sessions[1]?.opened[0]?.receivedSequence, 30);
});

test("a listener that abandons the connection hears no more of it, also not what came in the same frame", async (t) => {
  const heard: unknown[] = [];
  const { client, sessions } = await startConnections(t);
  const connection = await client.open({
    onMessage: (said) => {
      heard.push(said);
      if (said === 2) connection.abandon();
    },
  });
  sessions[0]?.send(message(1), message(2), message(3));
  await eventually(() => sessions[0]?.isOver, { what: "the end of the link" });
  t.deepEqual(heard, [1, 2]);
  t.is(connection.resumePoint.receivedSequence, 2);
});
