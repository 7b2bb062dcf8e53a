import { setImmediate as nextTurn } from "node:timers/promises";
import test from "ava";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import { METHOD } from "../../../src/mesh/method.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { MemoryNetwork } from "../../support/memory-network.ts";
import { createMeshNode } from "../../support/mesh-node.ts";

/** Two coordinators in memory that link to each other, with time that stands still and tokens that can be replaced. */
function setup() {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const network = new MemoryNetwork();
  const tokens = { a: ["old"], b: ["old"] };
  const held: (() => void)[] = [];
  const handler = (body: Uint8Array) =>
    body.length === 0
      ? Promise.resolve(body)
      : new Promise<Uint8Array>((resolve) => {
          held.push(() => resolve(body));
        });
  const make = (nodeId: "a" | "b") =>
    createMeshNode({ nodeId, transport: network, wheel, handler, tokens: () => tokens[nodeId] });
  const [a, b] = [make("a"), make("b")];
  network.listen("a:1", (stream) => a.mesh.accept(stream));
  network.listen("b:1", (stream) => b.mesh.accept(stream));
  a.mesh.setPeers([{ nodeId: "b", address: "b:1" }]);
  b.mesh.setPeers([{ nodeId: "a", address: "a:1" }]);
  const request = (body = new Uint8Array(), timeoutMs = 60_000) => {
    const peer = a.mesh.peer("b");
    if (!peer) return Promise.reject(new Fault("UNAVAILABLE", "no open link"));
    const deadline = deadlineIn(timeoutMs, clock.now());
    return peer.request(METHOD.CALL, body, { deadline, signal: new AbortController().signal, depth: 0 });
  };
  const turns = async () => {
    for (let i = 0; i < 5; i++) await nextTurn();
  };
  /** Goes on in small steps, so that what a timer sends can arrive before the next one. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 50) {
      clock.advance(Math.min(left, 50));
      await turns();
    }
  };
  const opened = (to: "a" | "b") => network.streams.filter(({ address }) => address === `${to}:1`).length;
  return { a, b, network, tokens, held, request, turns, pass, opened };
}

test("a link is replaced under its requests: there is a peer at every moment, and what is in flight is answered by the link before", async (t) => {
  const { a, network, held, request, turns, pass } = setup();
  await turns();
  const waiting = request(Buffer.from("x"), 25_000);
  await turns();
  a.mesh.renewLinks("the certificate has changed");
  t.notThrows(() => a.mesh.peer("b") ?? t.fail("there was no peer"));
  await request();
  await turns();
  t.is(network.open("b:1").length, 2);
  await request();
  // Longer than a link that closes for good has.
  await pass(20_000);
  held[0]?.();
  t.is(Buffer.from(await waiting).toString(), "x");
  await turns();
  t.is(network.open("b:1").length, 1);
  t.false(a.log.some((line) => line.startsWith("linkLost")));
});

test("where the new one cannot be opened, the link before goes on until it can", async (t) => {
  const { a, b, network, request, turns, pass } = setup();
  await turns();
  network.unlisten("b:1");
  a.mesh.renewLinks("the tokens have changed");
  await pass(3000);
  await request();
  network.listen("b:1", (stream) => b.mesh.accept(stream));
  await pass(3000);
  await request();
  t.is(network.open("b:1").length, 1);
});

test("a token is replaced, whoever learns it first: links go by the new one before the old one is valid no longer, and none is ever missing", async (t) => {
  for (const first of ["a", "b"] as const) {
    const { a, b, tokens, request, turns, pass } = setup();
    const second = first === "a" ? "b" : "a";
    const nodes = { a, b };
    await turns();
    for (const [node, valid] of [
      [first, ["new", "old"]],
      [second, ["new", "old"]],
      [first, ["new"]],
      [second, ["new"]],
    ] as const) {
      tokens[node] = [...valid];
      nodes[node].mesh.renewLinks("the tokens have changed");
      for (let i = 0; i < 10; i++) {
        await request();
        await pass(1000);
      }
    }
    for (const { log } of [a, b])
      t.false(
        log.some((line) => /^(linkLost|linkFailed|inboundRefused)/.test(line)),
        log.join("\n"),
      );
  }
});

test("two that do not agree which token is newer come to rest", async (t) => {
  const { a, b, tokens, turns, pass, opened } = setup();
  await turns();
  tokens.a = ["one", "other"];
  tokens.b = ["other", "one"];
  a.mesh.renewLinks("the tokens have changed");
  b.mesh.renewLinks("the tokens have changed");
  await pass(20_000);
  t.true(opened("a") + opened("b") < 20, `${opened("a")} and ${opened("b")} links`);
});

test("a link of a peer that was proved by a token which is valid no longer ends, also where it does not go by itself", async (t) => {
  const { a, b, tokens, network, turns, pass } = setup();
  await turns();
  tokens.b = ["new"];
  b.mesh.renewLinks("the tokens have changed");
  await pass(10_000);
  t.is(network.open("b:1").length, 0);
  t.is(a.mesh.peer("b"), undefined);
  t.true(b.log.some((line) => line.startsWith("inboundClosed")));
});

test("a mesh that closes gives a replaced link no more time than the others", async (t) => {
  const { a, request, turns, pass } = setup();
  await turns();
  const cut = request(Buffer.from("x"), 25_000).then(
    () => "OK",
    (fault: Fault) => fault.code,
  );
  await turns();
  a.mesh.renewLinks("the certificate has changed");
  await turns();
  let closed = false;
  void a.mesh.close("the end").then(() => (closed = true));
  await pass(2500);
  t.true(closed);
  t.is(await cut, "INDETERMINATE");
});
