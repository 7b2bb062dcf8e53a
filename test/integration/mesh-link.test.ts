import { randomBytes } from "node:crypto";
import test from "ava";
import type { CallContext } from "../../src/base/call-context.ts";
import { deadlineIn } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { DEFAULT_STREAM_LIMITS } from "../../src/mesh/limits.ts";
import { type Handler, METHOD } from "../../src/mesh/method.ts";
import { eventually } from "../support/eventually.ts";
import { type ServedMesh, startMesh } from "../support/mesh-server.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";

/** A link says nothing while a large body is on its way, which takes a busy machine seconds. */
const UNHURRIED = { heartbeatMs: 15_000 };

function context(timeoutMs = 60_000): CallContext {
  return { deadline: deadlineIn(timeoutMs), signal: new AbortController().signal, depth: 0 };
}

function linkTo(a: ServedMesh, port: number): void {
  a.mesh.setPeers([{ nodeId: "b", address: `127.0.0.1:${port}` }]);
}

function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "OK",
    (error: unknown) => (error instanceof Fault ? error.code : `not a fault: ${error}`),
  );
}

const never: Handler = () => new Promise(() => undefined);

test("thousands of requests of all sizes come back right, also many at once that fill the stream", async (t) => {
  await using b = await startMesh({ nodeId: "b", settings: UNHURRIED });
  await using a = await startMesh({ nodeId: "a", settings: UNHURRIED });
  linkTo(a, b.port);
  const peer = await a.mesh.whenLinked("b", deadlineIn(30_000));
  const echo = async (bytes: number): Promise<boolean> => {
    const body = randomBytes(bytes);
    return body.equals(await peer.request(METHOD.CALL, body, context()));
  };
  const small = await Promise.all(Array.from({ length: 3000 }, (_, i) => echo(i % 500)));
  const large = await Promise.all(Array.from({ length: 40 }, () => echo(1024 * 1024)));
  t.true([...small, ...large].every(Boolean));
  t.deepEqual(a.mesh.countInFlight(), { outgoing: 0, incoming: 0 });
});

test("the largest body passes both ways; a larger one, or a larger answer, costs only its own call", async (t) => {
  const { maxEnvelopeBytes } = DEFAULT_STREAM_LIMITS;
  await using b = await startMesh({
    nodeId: "b",
    settings: UNHURRIED,
    handler: async (body) => (body.length === 1 ? Buffer.alloc(maxEnvelopeBytes + 1) : body),
  });
  await using a = await startMesh({ nodeId: "a", settings: UNHURRIED });
  linkTo(a, b.port);
  const peer = await a.mesh.whenLinked("b", deadlineIn(30_000));
  const [tooLarge, tooLargeAnswer, largest, small] = await Promise.all([
    codeOf(peer.request(METHOD.CALL, Buffer.alloc(maxEnvelopeBytes + 1), context())),
    codeOf(peer.request(METHOD.CALL, Buffer.alloc(1), context())),
    peer.request(METHOD.CALL, Buffer.alloc(maxEnvelopeBytes), context()),
    peer.request(METHOD.CALL, Buffer.from("small"), context()),
  ]);
  t.is(tooLarge, "RESOURCE_EXHAUSTED");
  t.is(tooLargeAnswer, "RESOURCE_EXHAUSTED");
  t.is(largest.length, maxEnvelopeBytes);
  t.is(Buffer.from(small).toString(), "small");
  t.is(a.log.filter((line) => line.startsWith("linkLost")).length, 0);
});

test("a cut link fails its requests at once, tells the far handlers, and is up again by itself", async (t) => {
  const aborted: unknown[] = [];
  await using b = await startMesh({
    nodeId: "b",
    handler: async (body, { signal }) => {
      if (body.length > 0) return body;
      signal.addEventListener("abort", () => aborted.push(signal.reason));
      return never(body, context());
    },
  });
  await using proxy = await startTcpProxy(b.port);
  await using a = await startMesh({ nodeId: "a" });
  linkTo(a, proxy.port);
  const peer = await a.mesh.whenLinked("b", deadlineIn(30_000));
  const outcome = codeOf(peer.request(METHOD.CALL, Buffer.alloc(0), context(60_000)));
  await eventually(() => b.mesh.countInFlight().incoming === 1, { what: "the request at its handler" });
  const startMs = performance.now();
  proxy.cut();
  t.is(await outcome, "INDETERMINATE");
  t.true(performance.now() - startMs < 5000);
  await eventually(() => aborted.length === 1, { what: "the handler told" });
  t.is(await codeOf(peer.request(METHOD.CALL, Buffer.from("x"), context())), "UNAVAILABLE");
  const again = await a.mesh.whenLinked("b", deadlineIn(30_000));
  t.is(await codeOf(again.request(METHOD.CALL, Buffer.from("x"), context())), "OK");
});

// Alone: the others keep this process from hearing anything for longer than that.
test.serial("a link on which nothing passes any more is lost by its heartbeat", async (t) => {
  const settings = { heartbeatMs: 300 };
  await using b = await startMesh({ nodeId: "b", handler: never, settings });
  await using proxy = await startTcpProxy(b.port);
  await using a = await startMesh({ nodeId: "a", settings });
  linkTo(a, proxy.port);
  const peer = await a.mesh.whenLinked("b", deadlineIn(30_000));
  const outcome = codeOf(peer.request(METHOD.CALL, Buffer.from("x"), context(60_000)));
  await eventually(() => b.mesh.countInFlight().incoming === 1, { what: "the request at its handler" });
  proxy.stall();
  t.is(await outcome, "INDETERMINATE");
  await eventually(() => b.log.some((line) => line.includes("no sign of life")), { what: "the loss at the far end" });
});

test("a request ends at its deadline, though the far side never answers", async (t) => {
  await using b = await startMesh({ nodeId: "b", handler: never });
  await using a = await startMesh({ nodeId: "a" });
  linkTo(a, b.port);
  const peer = await a.mesh.whenLinked("b", deadlineIn(30_000));
  const startMs = performance.now();
  t.is(await codeOf(peer.request(METHOD.CALL, Buffer.from("x"), context(200))), "DEADLINE_EXCEEDED");
  const tookMs = performance.now() - startMs;
  t.log(`ended after ${tookMs.toFixed(1)} ms of 200`);
  t.true(tookMs >= 199 && tookMs < 5000, `${tookMs} ms`);
});

test("a coordinator that restarts is linked again with nothing else restarted", async (t) => {
  await using a = await startMesh({ nodeId: "a" });
  const first = await startMesh({ nodeId: "b" });
  linkTo(a, first.port);
  await a.mesh.whenLinked("b", deadlineIn(30_000));
  await first[Symbol.asyncDispose]();
  await eventually(() => a.log.some((line) => /linkFailed b UNAVAILABLE/.test(line)), { what: "a failed attempt" });
  await using second = await startMesh({ nodeId: "b", port: first.port });
  const peer = await a.mesh.whenLinked("b", deadlineIn(30_000));
  t.is(await codeOf(peer.request(METHOD.CALL, Buffer.from("x"), context())), "OK");
  t.true(second.log.some((line) => line.startsWith("inboundOpened")));
});

test("who waits for a link to an address where no coordinator listens is told so at the deadline", async (t) => {
  await using a = await startMesh({ nodeId: "a" });
  linkTo(a, 1);
  const startMs = performance.now();
  const fault = await t.throwsAsync(a.mesh.whenLinked("b", deadlineIn(500)), { instanceOf: Fault });
  t.is(fault?.code, "UNAVAILABLE");
  t.regex(fault?.message ?? "", /ECONNREFUSED/);
  t.true(performance.now() - startMs < 5000);
});
