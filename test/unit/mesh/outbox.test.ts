import { setImmediate as nextTurn } from "node:timers/promises";
import test from "ava";
import type { Envelope, ResponseEnvelope } from "../../../src/mesh/envelope.ts";
import { decodeFrame } from "../../../src/mesh/frame-codec.ts";
import { FRAME_BYTES, Outbox } from "../../../src/mesh/outbox.ts";

const UNBOUNDED = Number.POSITIVE_INFINITY;

function response(id: number, bytes = 10): ResponseEnvelope {
  return { kind: "response", id, method: 5, result: Buffer.alloc(bytes) };
}

function setup() {
  const frames: Uint8Array[] = [];
  const state = { takes: true };
  const departed: number[] = [];
  const outbox = new Outbox<ResponseEnvelope>({
    stream: {
      send: (frame) => {
        frames.push(frame);
        return state.takes;
      },
    },
    isAlone: () => true,
    departing: ({ id }) => departed.push(id),
  });
  return { frames, state, departed, outbox };
}

function ids(frame: Uint8Array | undefined): (number | string)[] {
  return decodeFrame(frame ?? Buffer.alloc(0)).map((each: Envelope) => ("id" in each ? each.id : each.kind));
}

test("all that is queued in one turn leaves in one frame, urgent envelopes first", async (t) => {
  const { frames, departed, outbox } = setup();
  outbox.push(response(1), UNBOUNDED);
  outbox.push(response(2), UNBOUNDED);
  outbox.pushUrgent({ kind: "ping", nonce: 1, topologyHash: "", epoch: 0, nodeName: "" }, UNBOUNDED);
  outbox.push(response(3), UNBOUNDED);
  t.is(frames.length, 0);
  await nextTurn();
  t.is(frames.length, 1);
  t.deepEqual(ids(frames[0]), ["ping", 1, 2, 3]);
  t.deepEqual(departed, [1, 2, 3]);
  t.true(outbox.empty);
  outbox.push(response(4), UNBOUNDED);
  await nextTurn();
  t.deepEqual(ids(frames[1]), [4]);
});

test("a frame closes at 256 KiB, and a larger envelope has one of its own", async (t) => {
  const { frames, outbox } = setup();
  for (let id = 1; id <= 6; id++) outbox.push(response(id, 100_000), UNBOUNDED);
  outbox.push(response(7, 3 * FRAME_BYTES), UNBOUNDED);
  outbox.push(response(8), UNBOUNDED);
  await nextTurn();
  t.deepEqual(frames.map(ids), [[1, 2], [3, 4], [5, 6], [7], [8]]);
  t.true(frames.every((frame, i) => i === 3 || frame.length <= FRAME_BYTES));
});

test("a stream that holds back gets nothing more until it drains; meanwhile the bounds hold", async (t) => {
  const { frames, state, outbox } = setup();
  state.takes = false;
  outbox.push(response(1), UNBOUNDED);
  await nextTurn();
  t.is(frames.length, 1);
  t.true(outbox.push(response(2), 200));
  t.true(outbox.push(response(3), 200));
  t.true(outbox.push(response(4), 200));
  t.false(outbox.push(response(5), 200));
  t.true(outbox.pushUrgent({ kind: "cancel", id: 6 }, 1));
  t.false(outbox.pushUrgent({ kind: "cancel", id: 7 }, 1));
  await nextTurn();
  t.is(frames.length, 1);
  state.takes = true;
  outbox.drain();
  t.deepEqual(ids(frames[1]), [6, 2, 3, 4]);
  t.true(outbox.push(response(8), 200));
});

test("what is withdrawn before it left is never sent, and frees its place", async (t) => {
  const { frames, departed, outbox } = setup();
  const first = response(1);
  outbox.push(first, UNBOUNDED);
  outbox.push(response(2), UNBOUNDED);
  t.true(outbox.withdraw(first));
  t.false(outbox.withdraw(first));
  t.true(outbox.push(response(3), 120));
  await nextTurn();
  t.deepEqual(ids(frames[0]), [2, 3]);
  t.deepEqual(departed, [2, 3]);
});

test("after close nothing leaves and nothing is taken", async (t) => {
  const { frames, outbox } = setup();
  outbox.push(response(1), UNBOUNDED);
  outbox.close();
  t.false(outbox.push(response(2), UNBOUNDED));
  t.false(outbox.pushUrgent({ kind: "cancel", id: 1 }, UNBOUNDED));
  await nextTurn();
  outbox.drain();
  t.is(frames.length, 0);
});

test("more urgent envelopes than a frame may have leave in several, in their order", async (t) => {
  const { frames, outbox } = setup();
  const count = 70_000;
  for (let id = 1; id <= count; id++) outbox.pushUrgent({ kind: "cancel", id }, UNBOUNDED);
  outbox.push(response(count + 1), UNBOUNDED);
  await nextTurn();
  const sent = frames.flatMap(ids).filter((id) => id !== count + 1);
  t.deepEqual(
    sent,
    Array.from({ length: count }, (_, index) => index + 1),
  );
  t.true(outbox.empty);
});
