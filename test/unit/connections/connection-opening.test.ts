import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { payloadOf, payloadValue } from "../../../src/base/json-payload.ts";
import type { Connection } from "../../../src/connections/connection.ts";
import { hashOf } from "../../../src/connections/resume-token.ts";
import {
  ConnectionNetwork,
  contextOf,
  GRACE_MS,
  heardOf,
  LEASE_MS,
  settled,
} from "../../support/connection-network.ts";
import { faultOf } from "../../support/fault-of.ts";

async function codeOf(call: Promise<unknown>): Promise<string> {
  return (await faultOf(call)).code;
}

function attribute({ attributes }: Connection, key: string): unknown {
  const value = attributes.get(key);
  return value && payloadValue(value);
}

test("a connection is what its client says, and its record says so before the client knows of it", async (t) => {
  const { a, directory } = new ConnectionNetwork();
  const { connection, response, token } = await a.open({
    type: "game",
    fingerprint: "print",
    params: new Map([["lang", payloadOf("de")]]),
  });
  const { details, resumed, resumeGraceMs } = response;
  t.like(details, {
    id: connection.id,
    type: "game",
    fingerprint: "print",
    remoteIp: "::1",
    remotePort: 5000,
    node: "a",
  });
  t.deepEqual([resumed, resumeGraceMs], [false, GRACE_MS]);
  t.deepEqual(directory.record(connection.id), {
    holder: { nodeId: "a", runId: "run of a" },
    tokenHash: hashOf(token),
    details: { ...connection.details("a"), params: new Map([["lang", payloadOf("de")]]) },
  });
  const other = await a.open();
  t.like(other.response.details, { type: "client", fingerprint: other.connection.id });
});

test("what a client says of its connection is bounded", async (t) => {
  const { a } = new ConnectionNetwork();
  await a.open({ type: "x".repeat(64), fingerprint: "x".repeat(256) });
  t.is(await codeOf(a.open({ type: "x".repeat(65) })), "INVALID_ARGUMENT");
  t.is(await codeOf(a.open({ fingerprint: "x".repeat(257) })), "INVALID_ARGUMENT");
  const params = (count: number, size = 0) =>
    new Map(Array.from({ length: count }, (_, i) => [`k${i}`, payloadOf(new Uint8Array(size))] as const));
  await a.open({ params: params(256) });
  t.is(await codeOf(a.open({ params: params(257) })), "RESOURCE_EXHAUSTED");
  t.is(await codeOf(a.open({ params: params(1, 64 * 1024) })), "RESOURCE_EXHAUSTED");
  t.is(await codeOf(a.open({ params: new Map([["", payloadOf(1)]]) })), "INVALID_ARGUMENT");
  t.is(a.held.size, 2);
});

test("a connection that could not be written down is not held", async (t) => {
  const { a } = new ConnectionNetwork();
  a.directory.refused.set("put", "UNAVAILABLE");
  t.is(await codeOf(a.open({ methods: ["m"] })), "UNAVAILABLE");
  t.is(a.held.size, 0);
  t.deepEqual([...a.methods], []);
});

test("a connection beyond the bound is refused, and one's own can be resumed all the same", async (t) => {
  const { a, b } = new ConnectionNetwork({ maxConnections: 2 });
  const own = await a.openAndLeave();
  const put = a.directory.stop("put", "request");
  const second = a.open();
  await put.reached;
  // It counts while it is opened.
  t.is(await codeOf(a.open()), "RESOURCE_EXHAUSTED");
  put.release();
  const { connection } = await second;
  t.is(await codeOf(a.open()), "RESOURCE_EXHAUSTED");
  const foreign = await b.openAndLeave();
  t.is(await codeOf(a.resume(foreign.token)), "RESOURCE_EXHAUSTED");
  t.is((await a.resume(own.token)).connection, own.connection);
  await a.held.end(connection, "quit");
  // The refusal has not used its token.
  t.is((await a.resume(foreign.token)).connection.id, foreign.connection.id);
});

test("a connection that waits for its rooms counts once", async (t) => {
  const { a, b } = new ConnectionNetwork({ maxConnections: 2 });
  const { token } = await b.openAndLeave();
  const entered = Promise.withResolvers<void>();
  a.rooms.delay = entered.promise;
  const resumed = a.resume(token);
  await settled();
  t.is(a.held.size, 1);
  await a.open();
  t.is(await codeOf(a.open()), "RESOURCE_EXHAUSTED");
  entered.resolve();
  await resumed;
});

test("a token works once, and only where it is complete", async (t) => {
  const { a, b, c, clock } = new ConnectionNetwork();
  const first = await a.openAndLeave();
  const both = await Promise.allSettled([b.resume(first.token), c.resume(first.token), b.resume(first.token)]);
  t.is(both.filter(({ status }) => status === "fulfilled").length, 1);
  for (const node of [a, b, c]) t.is(await codeOf(node.resume(first.token)), "UNAUTHENTICATED");
  const forged = `${first.connection.id}.${"A".repeat(43)}`;
  for (const wrong of [forged, "nonsense", `${first.token}x`]) t.is(await codeOf(a.resume(wrong)), "UNAUTHENTICATED");
  const lost = await a.openAndLeave();
  clock.advance(LEASE_MS + GRACE_MS);
  t.is(await codeOf(b.resume(lost.token)), "UNKNOWN_CONNECTION");
});

test("a local copy is not used where another node has had the connection since", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b } = network;
  const first = await a.openAndLeave();
  await a.operate(first.connection, "set", "auth", true);
  a.isLinked = false;
  const second = await b.resume(first.token);
  a.isLinked = true;
  await b.operate(second.connection, "set", "auth", false);
  await b.operate(second.connection, "sendMessage", "from b");
  // What came too late to where it was.
  first.connection.deliver(payloadOf("stale"));
  b.held.detach(second.connection, second.link);
  t.deepEqual(network.holdersOf(first.connection.id), ["a", "b"]);
  const third = await a.resume(second.token);
  t.not(third.connection, first.connection);
  t.is(attribute(third.connection, "auth"), false);
  t.deepEqual(heardOf(third.connection).heard, ["unknown", "from b"]);
  t.deepEqual(network.holdersOf(first.connection.id), ["a"]);
  t.deepEqual(a.observed, ["new", "taken-over", "resumed"]);
});

test("a local copy that is written learns that another node has the connection, and is let go", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b, directory } = network;
  const first = await a.open();
  a.isLinked = false;
  await b.resume(first.token);
  const record = directory.record(first.connection.id);
  t.is(await codeOf(a.operate(first.connection, "set", "auth", true)), "UNKNOWN_CONNECTION");
  t.deepEqual(network.holdersOf(first.connection.id), ["b"]);
  t.is(first.link.fault?.code, "CANCELLED");
  t.is(directory.record(first.connection.id), record);
});

test("a write that crosses the exchange of the token does not bring the used one back", async (t) => {
  for (const leg of ["request", "answer"] as const) {
    const { a, b } = new ConnectionNetwork();
    const first = await a.openAndLeave();
    const claim = a.directory.stop("claim", leg);
    const resumed = a.resume(first.token);
    await claim.reached;
    const set = a.operate(first.connection, "set", "k", 1);
    const renewed = a.held.persist(first.connection);
    await settled();
    claim.release();
    const second = await resumed;
    await Promise.all([set, renewed]);
    for (const node of [a, b]) t.is(await codeOf(node.resume(first.token)), "UNAUTHENTICATED");
    const third = await b.resume(second.token);
    t.is(attribute(third.connection, "k"), 1);
  }
});

test("a caller that gives up has not used its token, however far that was", async (t) => {
  for (const at of ["find", "take-over"] as const) {
    const { a, b } = new ConnectionNetwork();
    const { connection, token } = await a.openAndLeave();
    await a.operate(connection, "sendMessage", "queued");
    const abort = new AbortController();
    const asked = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    a.latency = async () => {
      asked.resolve();
      await answered.promise;
    };
    const find = at === "find" ? b.directory.stop("find", "answer") : undefined;
    const given = codeOf(b.resume(token, 0, contextOf(abort.signal)));
    await (find ?? { reached: asked.promise }).reached;
    abort.abort();
    find?.release();
    answered.resolve();
    t.is(await given, "CANCELLED", at);
    t.is(b.directory.asked.claim, undefined);
    t.deepEqual(heardOf((await b.resume(token)).connection).heard, ["queued"], at);
  }
});

test("a holder that lives and refuses keeps its connection, and the token stays good", async (t) => {
  const { a, b } = new ConnectionNetwork();
  const { connection, token } = await a.openAndLeave();
  await a.operate(connection, "sendMessage", "queued");
  for (const code of ["RESOURCE_EXHAUSTED", "INTERNAL"] as const) {
    a.refusal = new Fault(code, "too much to do");
    t.is(await codeOf(b.resume(token)), code);
    t.true(a.held.isHeld(connection));
  }
  a.refusal = undefined;
  t.deepEqual(heardOf((await b.resume(token)).connection).heard, ["queued"]);
});

test("a caller whose time is over while the holder is asked has not used its token", async (t) => {
  const { a, b } = new ConnectionNetwork();
  const { token } = await a.openAndLeave();
  a.refusal = new Fault("DEADLINE_EXCEEDED", "no answer in time");
  const abort = new AbortController();
  a.latency = async () => abort.abort();
  t.is(await codeOf(b.resume(token, 0, contextOf(abort.signal))), "DEADLINE_EXCEEDED");
  a.latency = async () => undefined;
  a.refusal = undefined;
  t.false((await b.resume(token)).connection.log.next() !== undefined);
});

test("a holder that is lost costs what it kept, and the client is told until it knows, once", async (t) => {
  for (const code of ["UNAVAILABLE", "INDETERMINATE", "DEADLINE_EXCEEDED", "UNKNOWN_CONNECTION"] as const) {
    const { a, b, c } = new ConnectionNetwork();
    const first = await a.openAndLeave();
    for (const message of [1, 2, 3]) await a.operate(first.connection, "sendMessage", message);
    a.refusal = new Fault(code, "lost");
    const second = await b.resume(first.token, 57);
    await b.operate(second.connection, "sendMessage", "after");
    // Handed to streams that broke: here, again here, and on another node.
    t.deepEqual(heardOf(second.connection).heard, ["unknown", "after"], code);
    const third = await b.resume(second.token, 57);
    t.deepEqual(heardOf(third.connection).heard, ["unknown", "after"], code);
    const fourth = await c.resume(third.token, 57);
    const told = heardOf(fourth.connection);
    t.deepEqual(told.heard, ["unknown", "after"], code);
    // Received.
    const fifth = await b.resume(fourth.token, told.received);
    await b.operate(fifth.connection, "sendMessage", "later");
    t.deepEqual(heardOf(fifth.connection).heard, ["later"], code);
  }
});

test("however much comes after a loss, the client is told that it is not known what it missed", async (t) => {
  const { a, b, c } = new ConnectionNetwork({ maxWaitingBytes: 100 });
  const first = await a.openAndLeave();
  a.isLinked = false;
  const resumed = await b.resume(first.token, 5);
  for (let i = 0; i < 50; i++) await b.operate(resumed.connection, "sendMessage", i);
  t.is(heardOf(resumed.connection).heard[0], "unknown");
  const again = await c.resume(resumed.token, 5);
  const { heard, received } = heardOf(again.connection);
  t.is(heard[0], "unknown");
  t.is(heard.at(-1), 49);
  t.is(received, 56);
});

test("a claim whose answer is lost leaves nobody with the connection, and the used token stays used", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b } = network;
  const { connection, token } = await a.openAndLeave();
  b.directory.unanswered.add("claim");
  t.is(await codeOf(b.resume(token)), "INDETERMINATE");
  t.deepEqual(network.holdersOf(connection.id), []);
  b.directory.unanswered.clear();
  for (const node of [a, b]) t.is(await codeOf(node.resume(token)), "UNAUTHENTICATED");
});
