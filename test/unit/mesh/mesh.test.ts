import { setImmediate as nextTurn } from "node:timers/promises";
import test from "ava";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import { encodeFrame } from "../../../src/mesh/frame-codec.ts";
import { type Handler, METHOD } from "../../../src/mesh/method.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { MemoryNetwork } from "../../support/memory-network.ts";
import { createMeshNode, type MeshNodeOptions } from "../../support/mesh-node.ts";
import { PairedStream } from "../../support/stream-pair.ts";

const A_TO_B = [{ nodeId: "b", address: "b:1" }];

/** Two coordinators in memory, with time that stands still. */
function setup(ofB: Partial<MeshNodeOptions> = {}, ofA: Partial<MeshNodeOptions> = {}) {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const network = new MemoryNetwork();
  const a = createMeshNode({ nodeId: "a", transport: network, wheel, ...ofA });
  const b = createMeshNode({ nodeId: "b", transport: network, wheel, ...ofB });
  network.listen("b:1", (stream) => b.mesh.accept(stream));
  const context = (timeoutMs = 60_000) => ({
    deadline: deadlineIn(timeoutMs, clock.now()),
    signal: new AbortController().signal,
    depth: 0,
  });
  const request = () => {
    const peer = a.mesh.peer("b");
    if (peer === undefined) throw new Fault("UNAVAILABLE", "no open link");
    return peer.request(METHOD.CALL, Buffer.from("x"), context());
  };
  /** Goes on in small steps, so that what a timer sends can arrive before the next one. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 50) {
      clock.advance(Math.min(left, 50));
      await turns();
    }
  };
  const phase = () => a.mesh.linkStatus("b")?.phase;
  return { clock, wheel, network, a, b, request, pass, phase };
}

async function turns(count = 3): Promise<void> {
  for (let i = 0; i < count; i++) await nextTurn();
}

function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "OK",
    (error: unknown) => (error instanceof Fault ? error.code : `not a fault: ${error}`),
  );
}

const never: Handler = () => new Promise(() => undefined);

test("a link opens, carries requests, and shows how it stands", async (t) => {
  const { a, b, request, clock, phase } = setup();
  t.is(a.mesh.peer("b"), undefined);
  t.is(phase(), undefined);
  a.mesh.setPeers(A_TO_B);
  t.is(phase(), "connecting");
  const peer = await a.mesh.whenLinked("b", deadlineIn(100, clock.now()));
  t.is(peer.nodeId, "b");
  t.is(phase(), "open");
  t.is(Buffer.from(await request()).toString(), "x");
  t.is(a.mesh.countLinks().open, 1);
  t.deepEqual(a.log, ["linkOpened b b"]);
  t.deepEqual(b.log, ["inboundOpened a pair"]);
});

test("a peer that is not there is tried again with growing waits, and linked once it is", async (t) => {
  const { a, b, network, pass, phase, clock } = setup();
  network.unlisten("b:1");
  a.mesh.setPeers(A_TO_B);
  await pass(10_000);
  t.is(phase(), "waiting");
  t.is(a.mesh.linkStatus("b")?.lastError?.message, "nobody listens on b:1");
  const attempts = network.streams.length;
  t.true(attempts >= 10 && attempts <= 30, `${attempts} attempts`);
  const waiting = a.mesh.whenLinked("b", deadlineIn(5000, clock.now()));
  network.listen("b:1", (stream) => b.mesh.accept(stream));
  await pass(1100);
  t.is((await waiting).nodeId, "b");
});

test("whoever waits for a link is told at the deadline why there is none, and at once where none is kept", async (t) => {
  const { a, network, pass, clock, wheel } = setup();
  network.unlisten("b:1");
  a.mesh.setPeers(A_TO_B);
  const waiting = a.mesh.whenLinked("b", deadlineIn(300, clock.now()));
  const outcome = t.throwsAsync(waiting, { instanceOf: Fault, message: /b:1.*nobody listens/ });
  await pass(400);
  t.is((await outcome)?.code, "UNAVAILABLE");
  t.is(await codeOf(a.mesh.whenLinked("c", deadlineIn(300, clock.now()))), "UNAVAILABLE");
  const removed = codeOf(a.mesh.whenLinked("b", deadlineIn(60_000, clock.now())));
  a.mesh.setPeers([]);
  t.is(await removed, "UNAVAILABLE");
  t.is(wheel.armed, 0);
});

test("a lost link fails its requests at once and comes back by itself", async (t) => {
  const { a, network, pass, request, phase } = setup({ handler: never });
  a.mesh.setPeers(A_TO_B);
  await turns();
  const outcome = codeOf(request());
  await turns();
  network.open("b:1")[0]?.close(new Fault("UNAVAILABLE", "the cable is cut"));
  t.is(await outcome, "INDETERMINATE");
  t.is(phase(), "waiting");
  t.is(a.mesh.peer("b"), undefined);
  t.regex(a.log.at(-1) ?? "", /linkLost b UNAVAILABLE: the cable is cut/);
  await pass(200);
  t.is(phase(), "open");
  t.is(a.mesh.linkStatus("b")?.lastError, undefined);
});

test("a link without a sign of life is lost after three missed heartbeats, at both ends", async (t) => {
  const { a, b, network, pass, request, phase } = setup({ handler: never });
  a.mesh.setPeers(A_TO_B);
  await turns();
  await pass(10_000);
  t.is(phase(), "open");
  const outcome = codeOf(request());
  await turns();
  const [stream] = network.open("b:1");
  stream?.hold();
  await pass(2900);
  t.is(phase(), "open");
  await pass(1200);
  t.is(await outcome, "INDETERMINATE");
  t.true(
    a.log.some((line) => /linkLost b UNAVAILABLE: no sign of life/.test(line)) ||
      b.log.some((line) => /no sign of life/.test(line)),
  );
});

test("a stall of this process does not lose its links", async (t) => {
  const { a, clock, phase, pass } = setup();
  a.mesh.setPeers(A_TO_B);
  await turns();
  clock.stall(20_000);
  await turns();
  await pass(5000);
  t.is(phase(), "open");
  t.deepEqual(a.log, ["linkOpened b b"]);
});

test("another topology at the other end is told at both, at the handshake and with every heartbeat", async (t) => {
  let hash = "one map";
  const { a, b, pass } = setup({ topology: { hash: () => hash } });
  a.mesh.setPeers(A_TO_B);
  await pass(2500);
  t.deepEqual(a.log, ["linkOpened b b"]);
  hash = "another map";
  await pass(1000);
  t.deepEqual(a.log.slice(1), ["topologyDiffers b another map"]);
  t.deepEqual(b.log.slice(1), ["topologyDiffers a one map"]);
});

test("a coordinator that closes sends its peers away: what runs is answered, the next link waits for it to return", async (t) => {
  const release = Promise.withResolvers<void>();
  const { a, b, network, request, phase, pass } = setup({
    handler: async (body) => {
      await release.promise;
      return body;
    },
  });
  a.mesh.setPeers(A_TO_B);
  await turns();
  await pass(2000);
  const outcome = codeOf(request());
  await turns();
  const closed = b.mesh.close("an update");
  await turns();
  t.throws(request, { instanceOf: Fault });
  release.resolve();
  t.is(await outcome, "OK");
  await closed;
  t.not(phase(), "open");
  t.is(network.open("b:1").length, 0);
  t.false(a.log.some((line) => line.startsWith("linkLost")));
});

test("closing waits for requests only so long", async (t) => {
  const { a, b, request, pass, wheel } = setup({ handler: never });
  a.mesh.setPeers(A_TO_B);
  await turns();
  const outcome = codeOf(request());
  await turns();
  const closed = Promise.all([a.mesh.close("the end"), b.mesh.close("the end")]);
  await pass(2100);
  await closed;
  t.is(await outcome, "INDETERMINATE");
  t.is(wheel.armed, 0);
  a.mesh.setPeers(A_TO_B);
  t.is(a.mesh.linkStatus("b"), undefined);
});

test("a peer that is gone from the topology loses its link, its requests are answered first", async (t) => {
  const release = Promise.withResolvers<void>();
  const { a, network, request } = setup({
    handler: async (body) => {
      await release.promise;
      return body;
    },
  });
  a.mesh.setPeers(A_TO_B);
  await turns();
  const outcome = codeOf(request());
  await turns();
  a.mesh.setPeers([]);
  t.is(a.mesh.peer("b"), undefined);
  release.resolve();
  t.is(await outcome, "OK");
  await turns();
  t.is(network.open("b:1").length, 0);
});

test("when a peer's address changes, the old link serves until the new one is open", async (t) => {
  const { a, b, network, request, pass } = setup();
  a.mesh.setPeers(A_TO_B);
  await turns();
  a.mesh.setPeers([{ nodeId: "b", address: "b:2" }]);
  await turns();
  t.is(await codeOf(request()), "OK");
  t.is(network.open("b:1").length, 1);
  network.listen("b:2", (stream) => b.mesh.accept(stream));
  await pass(200);
  t.is(network.open("b:1").length, 0);
  t.is(network.open("b:2").length, 1);
  t.is(await codeOf(request()), "OK");
});

test("a peer that sends every link away at once is not tried in a hurry", async (t) => {
  const { a, network, pass } = setup();
  let sentAway = 0;
  const real = createMeshNode({ nodeId: "b", transport: network });
  network.listen("b:1", (stream) => {
    real.mesh.accept({
      remoteAddress: "wrapped",
      send: (frame) => stream.send(frame),
      close: (fault) => stream.close(fault),
      listen: (events) =>
        stream.listen({
          frame: (bytes) => {
            events.frame(bytes);
            if (++sentAway % 2 === 0) stream.send(encodeFrame([{ kind: "goAway", reason: "go" }]));
          },
          drain: () => events.drain(),
          closed: (error) => events.closed(error),
        }),
    });
  });
  a.mesh.setPeers(A_TO_B);
  await pass(5000);
  t.true(network.streams.length < 25, `${network.streams.length} links`);
});

test("a handshake that stalls ends in its time, or as soon as too many later ones have come", async (t) => {
  const { b, clock } = setup();
  const streams = Array.from({ length: 257 }, () => PairedStream.create());
  for (const [near, far] of streams) {
    near.listen({ frame: () => undefined, drain: () => undefined, closed: () => undefined });
    b.mesh.accept(far);
  }
  t.is((streams[0]?.[1].closedWith as Fault | undefined)?.code, "RESOURCE_EXHAUSTED");
  t.false(streams[1]?.[1].over);
  t.false(streams[256]?.[1].over);
  clock.advance(5050);
  t.is((streams[1]?.[1].closedWith as Fault | undefined)?.code, "UNAVAILABLE");
  t.true(streams.every(([, far]) => far.over));
});

test("who sends its peers away still reaches them, until it closes", async (t) => {
  const { a, b, request, clock } = setup();
  a.mesh.setPeers(A_TO_B);
  await a.mesh.whenLinked("b", deadlineIn(1000, clock.now()));
  await a.mesh.sendAway("an update");
  t.is(await codeOf(request()), "OK");
  const [, late] = PairedStream.create();
  a.mesh.accept(late);
  t.is((late.closedWith as Fault | undefined)?.code, "UNAVAILABLE");
  await a.mesh.close("an update");
  t.is(a.mesh.peer("b"), undefined);
  await b.mesh.close("the end");
});

test("a handshake frame that is malformed, too large, or holds more than one envelope is refused", async (t) => {
  const ping = { kind: "ping", nonce: 1, topologyHash: "", epoch: 0, nodeName: "" } as const;
  for (const frame of [Buffer.from([0xff]), Buffer.alloc(4097), encodeFrame([ping, ping]), Buffer.alloc(0)]) {
    const { b } = setup();
    const [near, far] = PairedStream.create();
    b.mesh.accept(far);
    near.send(frame);
    await turns();
    t.is((far.closedWith as Fault).code, "UNAUTHENTICATED");
  }
});
