import { setImmediate as nextTurn } from "node:timers/promises";
import test from "ava";
import type { CallContext } from "../../../src/base/call-context.ts";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import { METHOD } from "../../../src/mesh/method.ts";
import { faultOf } from "../../support/fault-of.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { MemoryNetwork } from "../../support/memory-network.ts";
import { createMeshNode, type MeshNode } from "../../support/mesh-node.ts";

const RETURN_MS = 10_000;

/** A coordinator with a link to another one, which can be stopped and started again, with time that stands still. */
async function setup({ maxWaiting = 10 } = {}) {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const network = new MemoryNetwork();
  const settings = {
    peerReturnMs: RETURN_MS,
    limits: { maxInFlight: maxWaiting, maxInFlightBytes: 1_000_000, maxEnvelopeBytes: 1000 },
  };
  const { mesh } = createMeshNode({ nodeId: "a", transport: network, wheel, settings });
  network.listen("a:1", (stream) => mesh.accept(stream));
  const serves: (() => void)[] = [];
  const start = (): MeshNode => {
    const node = createMeshNode({
      nodeId: "b",
      transport: network,
      wheel,
      serves: () =>
        new Promise((resolve) => {
          serves.push(resolve);
        }),
    });
    network.listen("b:1", (stream) => node.mesh.accept(stream));
    return node;
  };
  const context = (timeoutMs = 60_000, signal = new AbortController().signal): CallContext => {
    return { deadline: deadlineIn(timeoutMs, clock.now()), signal, depth: 0 };
  };
  const turns = async () => {
    for (let i = 0; i < 10; i++) await nextTurn();
  };
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 50) {
      clock.advance(Math.min(left, 50));
      await turns();
    }
  };
  const peer = start();
  mesh.setPeers([{ nodeId: "b", address: "b:1" }]);
  await turns();
  /** As a coordinator does that is told to stop. */
  const stop = async (): Promise<void> => {
    network.unlisten("b:1");
    const closed = peer.mesh.close("it is restarted");
    await turns();
    await closed;
  };
  return { mesh, network, start, stop, serves, context, turns, pass };
}

test("a peer that has said that it goes is waited for until it serves again, for which a link alone is not enough", async (t) => {
  const { mesh, start, stop, serves, context, turns, pass } = await setup();
  t.truthy(mesh.servingPeer("b"));
  await stop();
  t.is(mesh.servingPeer("b"), undefined);
  t.true(mesh.isAway("b"));
  const back = mesh.whenBack("b", context());
  await pass(2000);
  start();
  await pass(1500);
  t.truthy(mesh.peer("b"), "linked");
  t.is(mesh.servingPeer("b"), undefined);
  serves[0]?.();
  await turns();
  t.true((await back) === mesh.servingPeer("b"));
  t.false(mesh.isAway("b"));
  await (await mesh.whenBack("b", context())).request(METHOD.CALL, new Uint8Array(), context());
});

test("a peer that is linked to us again is linked to at once, and not after the pause between two attempts", async (t) => {
  const { mesh, start, stop, turns, pass } = await setup();
  await stop();
  await pass(5000);
  start().mesh.setPeers([{ nodeId: "a", address: "a:1" }]);
  await turns();
  t.truthy(mesh.peer("b"));
});

test("who waits gives up at its deadline, when it is cancelled, and once the peer has been away for too long", async (t) => {
  const { mesh, stop, context, pass } = await setup();
  await stop();
  const abort = new AbortController();
  const [late, cancelled, long] = [
    faultOf(mesh.whenBack("b", context(1000))),
    faultOf(mesh.whenBack("b", context(60_000, abort.signal))),
    faultOf(mesh.whenBack("b", context())),
  ];
  await pass(1100);
  t.is((await late).code, "UNAVAILABLE");
  abort.abort();
  t.is((await cancelled).code, "CANCELLED");
  await pass(RETURN_MS);
  const fault = await long;
  t.is(fault.code, "UNAVAILABLE");
  t.regex(fault.message, /b:1 has left \(it is restarted\)/);
  t.is((await faultOf(mesh.whenBack("b", context()))).message, "there is no link to the coordinator at b:1");
});

test("nobody waits for a peer that was lost without a word, or that is none", async (t) => {
  const { mesh, network, context, turns } = await setup();
  t.is((await faultOf(mesh.whenBack("c", context()))).code, "UNAVAILABLE");
  network.unlisten("b:1");
  for (const stream of network.open("b:1")) stream.close(new Fault("UNAVAILABLE", "it was killed"));
  await turns();
  t.is(mesh.peer("b"), undefined);
  t.is((await faultOf(mesh.whenBack("b", context()))).message, "there is no link to the coordinator at b:1");
});

test("a bound holds for those that wait, and the end of the mesh, or of the peer's shard, ends their wait", async (t) => {
  const { mesh, stop, context } = await setup({ maxWaiting: 2 });
  await stop();
  const waiting = [faultOf(mesh.whenBack("b", context())), faultOf(mesh.whenBack("b", context()))];
  t.is((await faultOf(mesh.whenBack("b", context()))).code, "RESOURCE_EXHAUSTED");
  mesh.setPeers([]);
  for (const fault of await Promise.all(waiting)) t.is(fault.code, "UNAVAILABLE");
});
