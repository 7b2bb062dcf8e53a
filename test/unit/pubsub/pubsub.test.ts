import { setImmediate as nextTurn } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { Fault, type FaultCode } from "../../../src/base/fault.ts";
import { payloadOf } from "../../../src/base/json-payload.ts";
import { encodePayload } from "../../../src/base/payload.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import { publishRequest, publishResponse, subscribeRequest } from "../../../src/pubsub/pubsub-codec.ts";
import type { PubSubLimits } from "../../../src/pubsub/pubsub-parts.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { TestPubSubNode } from "../../support/pubsub-node.ts";

/** Nodes a, b and c, each linked to the others, with time that stands still. */
function setup(limits: Partial<PubSubLimits> = {}) {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const node = (name: string) => new TestPubSubNode(name, wheel, { limits });
  const [a, b, c] = [node("a"), node("b"), node("c")] as const;
  const [ab, ac, ba] = [a.link(b), a.link(c), b.link(a)] as const;
  for (const [from, to] of [
    [b, c],
    [c, a],
    [c, b],
  ] as const) {
    from.link(to);
  }
  return { clock, wheel, a, b, c, ab, ac, ba };
}

async function faultOf(t: ExecutionContext, action: () => unknown, code: FaultCode): Promise<Fault> {
  const fault = await t.throwsAsync(async () => action(), { instanceOf: Fault });
  t.is(fault.code, code, fault.message);
  return fault;
}

test("a message reaches the subscribers of its type on every node, its publisher's included, with that node's name", async (t) => {
  const { a, b, c } = setup();
  const [here, there, other] = [a.subscribe("x"), b.subscribe("x", "y"), b.subscribe("y")];
  await nextTurn();
  t.deepEqual(await a.publish("x", { n: 1 }), { nodes: 2, subscribers: 2 });
  t.deepEqual(await c.publish("y", null), { nodes: 1, subscribers: 2 });
  t.deepEqual(here.read(), ["subscribed", 'x: {"n":1} from a']);
  t.deepEqual(there.read(), ["subscribed", 'x: {"n":1} from a', "y: null from c"]);
  t.deepEqual(other.read(), ["subscribed", "y: null from c"]);
});

test("only nodes with a subscriber of the type are sent the message", async (t) => {
  const { a, b, c } = setup();
  const subscriber = b.subscribe("x");
  await nextTurn();
  await a.publish("x", 1);
  t.deepEqual([b.counted.received, c.counted.received], [1, 0]);
  t.deepEqual(await a.publish("nobody's", 1), { nodes: 0, subscribers: 0 });
  subscriber.subscription.close();
  await nextTurn();
  t.deepEqual(await a.publish("x", 2), { nodes: 0, subscribers: 0 });
  t.is(b.counted.received, 1);
  t.deepEqual(a.pubSub.counts, { subscriptions: 0, types: 0, peerTypes: 0, queuedBytes: 0 });
  t.deepEqual(b.pubSub.counts, { subscriptions: 0, types: 0, peerTypes: 0, queuedBytes: 0 });
});

test("a subscription stands once every linked node knows of it; what comes before waits behind that word", async (t) => {
  const { a, b, ac } = setup();
  await nextTurn();
  ac.hold();
  const subscriber = a.subscribe("x");
  await nextTurn();
  t.deepEqual(await b.publish("x", 1), { nodes: 1, subscribers: 1 });
  t.deepEqual(subscriber.read(), []);
  ac.release();
  await nextTurn();
  t.deepEqual(subscriber.read(), ["subscribed", "x: 1 from b"]);
});

test("a subscription stands once the nodes that know of it have a link to send by, too; within a bound", async (t) => {
  const { a, b, ba, clock } = setup();
  await nextTurn();
  ba.end(false);
  const [first, second] = [a.subscribe("x"), a.subscribe("y")];
  await nextTurn();
  t.deepEqual(first.read(), []);
  b.link(a);
  await nextTurn();
  t.deepEqual([first.read(), second.read()], [["subscribed"], ["subscribed"]]);
  t.deepEqual(await b.publish("x", 1), { nodes: 1, subscribers: 1 });
  b.link(a).end(false);
  const third = a.subscribe("z");
  await nextTurn();
  t.deepEqual(third.read(), []);
  clock.advance(2050);
  await nextTurn();
  t.deepEqual(third.read(), ["subscribed"]);
});

test("a node that does not answer holds up a subscription only so long, and one that is not linked not at all", async (t) => {
  const { a, ac, ab, clock } = setup();
  await nextTurn();
  ab.end(false);
  ac.hold();
  const subscriber = a.subscribe("x");
  await nextTurn();
  clock.advance(1900);
  await nextTurn();
  t.deepEqual(subscriber.read(), []);
  clock.advance(150);
  await nextTurn();
  t.deepEqual(subscriber.read(), ["subscribed"]);
});

test("a node that fails or is late is not counted, and the publisher is answered within its deadline", async (t) => {
  const { a, b, c, ab, ac, clock } = setup();
  const [there, late] = [b.subscribe("x"), c.subscribe("x")];
  await nextTurn();
  ac.hold();
  const reach = a.publish("x", 1, 1000);
  await nextTurn();
  // A quarter of it is for the answer.
  clock.advance(760);
  t.deepEqual(await reach, { nodes: 1, subscribers: 1 });
  ab.refuse(new Fault("RESOURCE_EXHAUSTED", "full"));
  ac.end(true);
  t.deepEqual(await a.publish("x", 2), { nodes: 0, subscribers: 0 });
  t.is(a.counted.unreached, 3);
  t.deepEqual(there.read(), ["subscribed", "x: 1 from a"]);
  t.deepEqual(late.read(), ["subscribed", "x: 1 from a"]);
});

test("over a replaced link nothing is missed, and order is kept: messages wait for those that left by the one before", async (t) => {
  const { a, b, ab } = setup();
  const subscriber = b.subscribe("x");
  await nextTurn();
  ab.hold();
  const reaches = [a.publish("x", 1), a.publish("x", 2)];
  const second = a.link(b);
  reaches.push(a.publish("x", 3));
  const third = a.link(b);
  reaches.push(a.publish("x", 4));
  await nextTurn();
  t.deepEqual(subscriber.read(), ["subscribed"]);
  ab.release();
  for (const reach of reaches) t.deepEqual(await reach, { nodes: 1, subscribers: 1 });
  for (const link of [ab, second]) link.end(true);
  t.deepEqual(await a.publish("x", 5), { nodes: 1, subscribers: 1 });
  t.deepEqual(subscriber.read(), ["subscribed", ...[1, 2, 3, 4, 5].map((n) => `x: ${n} from a`)]);
  t.is(b.counted.missed, 0);
  const deliveries = [ab, second, third].map(({ sent }) => sent.filter((what) => what === "deliverPublished").length);
  t.deepEqual(deliveries, [2, 0, 3]);
});

test("a message that waits for those before it ends with its own time, or its caller, and is not sent then", async (t) => {
  const { a, b, ab, clock } = setup();
  const subscriber = b.subscribe("x");
  await nextTurn();
  ab.hold();
  const first = a.publish("x", 1, 60_000);
  const next = a.link(b);
  const late = a.publish("x", 2, 1000);
  const context = a.context(60_000);
  const cancelled = a.pubSub.publish("x", payloadOf(3), context);
  const patient = a.publish("x", 4, 60_000);
  await nextTurn();
  clock.advance(950);
  t.deepEqual(await late, { nodes: 0, subscribers: 0 });
  context.abort(new Fault("CANCELLED", "the caller has gone"));
  t.deepEqual(await cancelled, { nodes: 0, subscribers: 0 });
  t.is(a.counted.unreached, 2);
  ab.release();
  for (const reach of [first, patient]) t.deepEqual(await reach, { nodes: 1, subscribers: 1 });
  t.is(next.sent.filter((what) => what === "deliverPublished").length, 1);
  t.deepEqual(subscriber.read(), ["subscribed", "x: 1 from a", "x: 4 from a"]);
});

test("what is lost with a link holds up nothing, and is missed, not delivered, where it arrives behind a later message", async (t) => {
  const { a, b, ab } = setup();
  const subscriber = b.subscribe("x", "y");
  const another = b.subscribe("y");
  await nextTurn();
  ab.hold();
  const first = a.publish("x", 1);
  const next = a.link(b);
  const second = a.publish("x", 2);
  await nextTurn();
  ab.lose();
  t.deepEqual(await first, { nodes: 0, subscribers: 0 });
  t.deepEqual(await second, { nodes: 1, subscribers: 1 });
  ab.end(true);
  t.deepEqual(await a.publish("x", 3), { nodes: 1, subscribers: 1 });
  t.deepEqual(subscriber.read(), ["subscribed", "x: 2 from a", "missed 1", "x: 3 from a"]);
  t.deepEqual(another.read(), ["subscribed"]);
  t.is(b.counted.missed, 1);
  t.false(next.isLost);
});

test("while a node is told all of many types anew, by another link, nothing of them is missed", async (t) => {
  const { a, b, ab } = setup();
  const types = Array.from({ length: 1000 }, (_, index) => `type ${index}`);
  const subscriber = a.subscribe(...types);
  await nextTurn();
  t.is(b.pubSub.counts.peerTypes, 1000);
  const next = a.link(b);
  // Its first part is on its way, and the others wait behind it.
  for (let turn = 0; turn < 8; turn++) {
    t.deepEqual(await b.publish("type 999", turn), { nodes: 1, subscribers: 1 });
  }
  ab.end(true);
  t.true(next.sent.filter((what) => what === "syncInterest").length > 1);
  t.is(subscriber.read().length, 1 + 8);
});

test("a slow subscriber is told what it missed, and costs the others nothing", async (t) => {
  const { a, b } = setup({ queue: { maxMessages: 2, maxBytes: 1000 } });
  const [slow, fast] = [b.subscribe("x"), b.subscribe("x")];
  await nextTurn();
  for (const n of [1, 2, 3, 4, 5]) {
    t.is((await a.publish("x", n)).subscribers, n <= 2 ? 2 : 1);
    fast.read();
  }
  t.deepEqual(slow.read(), ["subscribed", "x: 1 from a", "x: 2 from a", "missed 3"]);
  t.is(fast.seen.length, 6);
  t.deepEqual([b.counted.delivered, b.counted.missed], [7, 3]);
});

test("a restarted or returning node is told everything again", async (t) => {
  const { a, b, ab, ba } = setup();
  const subscriber = b.subscribe("x");
  await nextTurn();
  for (const lost of [ab, ba]) lost.end(false);
  t.deepEqual(await a.publish("x", 1), { nodes: 0, subscribers: 0 });
  t.is(a.pubSub.counts.peerTypes, 0);
  b.link(a);
  a.link(b);
  await nextTurn();
  t.deepEqual(await a.publish("x", 2), { nodes: 1, subscribers: 1 });
  t.deepEqual(subscriber.read(), ["subscribed", "x: 2 from a"]);
});

test("the process at the end of a link decides, not the node: what another one there had is not sent to it", async (t) => {
  const { a, b, ab, wheel } = setup();
  b.subscribe("x");
  await nextTurn();
  ab.end(false);
  // The coordinator beside b's Redis is another now, and nobody has noticed yet that the old one's link is dead.
  const successor = new TestPubSubNode("b", wheel, { runId: "another run" });
  a.link(successor);
  await nextTurn();
  t.deepEqual(await a.publish("x", 1), { nodes: 0, subscribers: 0 });
  t.is(successor.counted.received, 0);
});

test("changes that come while the node is being told go together in one request", async (t) => {
  const { a, b, ab } = setup();
  await nextTurn();
  const before = ab.sent.length;
  ab.hold();
  const subscribers = Array.from({ length: 50 }, (_, index) => a.subscribe(`type ${index}`));
  subscribers[7]?.subscription.close();
  ab.release();
  await nextTurn();
  t.is(ab.sent.length - before, 2);
  t.is(b.pubSub.counts.peerTypes, 49);
});

test("thousands of types are told in requests that fit into the smallest message", async (t) => {
  const { a, b, ab } = setup({ maxSubscriptions: 10 });
  const long = (index: number) => `${index}`.padStart(256, "x");
  for (const part of [0, 1, 2]) a.subscribe(...Array.from({ length: 1000 }, (_, index) => long(1000 * part + index)));
  await nextTurn();
  t.is(b.pubSub.counts.peerTypes, 3000);
  ab.end(false);
  a.link(b);
  await nextTurn();
  t.is(b.pubSub.counts.peerTypes, 3000);
});

test("an older node, which knows nothing of pub/sub, is told nothing more, and holds up nobody", async (t) => {
  const { a, ab } = setup();
  ab.refuse(new Fault("UNIMPLEMENTED", "method 23 is not known here"));
  const subscriber = a.subscribe("x");
  await nextTurn();
  t.deepEqual(subscriber.read(), ["subscribed"]);
  const { length } = ab.sent;
  a.subscribe("y");
  await nextTurn();
  t.is(ab.sent.length, length);
});

test("a node that refuses what it is told is told everything again, with growing pauses", async (t) => {
  const { a, b, ab, clock } = setup();
  await nextTurn();
  ab.refuse(new Fault("RESOURCE_EXHAUSTED", "busy"));
  a.subscribe("x");
  const { length } = ab.sent;
  for (let waited = 0; waited < 10_000; waited += 100) {
    clock.advance(100);
    await nextTurn();
  }
  t.true(ab.sent.length - length > 8 && ab.sent.length - length < 25, `${ab.sent.length - length} attempts`);
  ab.refuse(undefined);
  clock.advance(1100);
  await nextTurn();
  t.is(b.pubSub.counts.peerTypes, 1);
});

test("what cannot be published is refused, and reaches nobody", async (t) => {
  const { a } = setup();
  const subscriber = a.subscribe("x");
  await nextTurn();
  const context = a.context(1000);
  const json = encodePayload("1");
  const request = (messageType: string, payload: Uint8Array | undefined = json) =>
    a.pubSub.publishFromClient(publishRequest.encode({ messageType, payload }), context);
  await faultOf(t, () => request(""), "INVALID_ARGUMENT");
  await faultOf(t, () => request("ä".repeat(129)), "INVALID_ARGUMENT");
  await faultOf(t, () => request("x", new Uint8Array()), "INVALID_ARGUMENT");
  await faultOf(t, () => request("x", encodePayload("{not json")), "INVALID_ARGUMENT");
  await faultOf(t, () => a.pubSub.publishFromClient(Buffer.from([0x0a, 0x05]), context), "INVALID_ARGUMENT");
  await faultOf(t, () => a.publish("x", Buffer.alloc(10_000)), "RESOURCE_EXHAUSTED");
  t.deepEqual(publishResponse.decode(await request("x", encodePayload(Buffer.from([0xff])))), {
    nodes: 1,
    subscribers: 1,
  });
  t.is((await a.publish("ä".repeat(128), 1)).nodes, 0);
  t.is(subscriber.read().length, 2);
});

test("a text that is not UTF-8 is refused: subscribers in other languages would refuse the whole message", async (t) => {
  const { a } = setup();
  const subscriber = a.subscribe("x");
  await nextTurn();
  const json = Buffer.from([0x12, 0x03, 0x22, 0xff, 0x22]);
  await faultOf(t, () => a.pubSub.publish("x", json, a.context(1000)), "INVALID_ARGUMENT");
  t.deepEqual(subscriber.read(), ["subscribed"]);
});

test("what may be on its way to other nodes is bounded: beyond it nothing is accepted that could be lost", async (t) => {
  const { a, b, ab } = setup({ maxPublishing: 2 });
  const [here, there] = [a.subscribe("x"), b.subscribe("x")];
  await nextTurn();
  ab.hold();
  const accepted = [a.publish("x", 1), a.publish("x", 2)];
  await faultOf(t, () => a.publish("x", 3), "RESOURCE_EXHAUSTED");
  t.is((await a.publish("only here", 1)).nodes, 0);
  ab.release();
  t.deepEqual(await Promise.all(accepted), Array(2).fill({ nodes: 2, subscribers: 2 }));
  t.is((await a.publish("x", 4)).nodes, 2);
  for (const each of [here, there]) t.is(each.read().length, 4);
});

test("bounds on subscriptions are told at once", async (t) => {
  const { a } = setup({ maxSubscriptions: 2 });
  const subscribe = (messageTypes: string[]) =>
    a.pubSub.subscribe(subscribeRequest.encode({ messageTypes }), () => undefined);
  await faultOf(t, () => subscribe([]), "INVALID_ARGUMENT");
  await faultOf(t, () => subscribe([""]), "INVALID_ARGUMENT");
  await faultOf(t, () => subscribe(Array.from({ length: 1025 }, (_, n) => `${n}`)), "INVALID_ARGUMENT");
  await faultOf(t, () => a.pubSub.subscribe(Buffer.from([0x0a, 0x05]), () => undefined), "INVALID_ARGUMENT");
  const first = subscribe(["x", "x"]);
  subscribe(["x"]);
  await faultOf(t, () => subscribe(["x"]), "RESOURCE_EXHAUSTED");
  first.close();
  first.close();
  t.deepEqual(a.pubSub.counts, { subscriptions: 1, types: 1, peerTypes: 0, queuedBytes: 0 });
  subscribe(["x"]);
});

test("closing ends each subscription behind what waits for it, and the other nodes forget them", async (t) => {
  const { a, b } = setup();
  const subscriber = a.subscribe("x");
  await nextTurn();
  await b.publish("x", 1);
  a.pubSub.close("an update");
  t.is(subscriber.subscription.ended?.code, "UNAVAILABLE");
  t.deepEqual(subscriber.read(), ["subscribed", "x: 1 from b"]);
  await faultOf(t, () => a.subscribe("x"), "UNAVAILABLE");
  await nextTurn();
  t.deepEqual(await b.publish("x", 2), { nodes: 0, subscribers: 0 });
  subscriber.subscription.close();
  t.deepEqual(a.pubSub.counts, { subscriptions: 0, types: 0, peerTypes: 0, queuedBytes: 0 });
});

test("news come when there is something to take, and when a subscription has ended", async (t) => {
  const { a } = setup();
  let news = 0;
  const subscription = a.pubSub.subscribe(subscribeRequest.encode({ messageTypes: ["x"] }), () => news++);
  t.is(subscription.take(), undefined);
  await nextTurn();
  t.is(news, 1);
  t.truthy(subscription.take());
  await a.publish("x", 1);
  t.is(news, 2);
  a.pubSub.close("the end");
  t.is(news, 3);
});
