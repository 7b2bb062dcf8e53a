import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import type { ClusterView, SlotAnswer } from "../../../src/topology/cluster-view.ts";
import { LiveTopology } from "../../../src/topology/live-topology.ts";
import type { Topology } from "../../../src/topology/topology.ts";
import { eventually } from "../../support/eventually.ts";

const A = { id: "a", address: { host: "10.0.0.1", port: 7000 }, slots: [{ start: 0, end: 8191 }], epoch: 1 };
const B = { id: "b", address: { host: "10.0.0.2", port: 7000 }, slots: [{ start: 8192, end: 16383 }], epoch: 2 };
const VIEW: ClusterView = { self: "a", selfShard: "a", shards: [A, B], replicas: [] };

function setUp({ mode = "auto", intervalMs = 60_000 }: { mode?: "auto" | "manual"; intervalMs?: number } = {}) {
  const state: { view: ClusterView | Fault; reads: number; answer: SlotAnswer } = {
    view: VIEW,
    reads: 0,
    answer: { kind: "own", epoch: 1 },
  };
  const failures: Fault[] = [];
  const changes: Topology[] = [];
  const topology = new LiveTopology({
    source: {
      async read() {
        state.reads++;
        if (state.view instanceof Fault) throw state.view;
        return state.view;
      },
      ask: async () => state.answer,
    },
    mode,
    intervalMs,
    random: () => 0,
    observer: { refreshed: () => undefined, refreshFailed: (_cause, fault) => failures.push(fault) },
  });
  topology.subscribe((next) => changes.push(next));
  return { topology, state, failures, changes };
}

test("a change makes a new version, and no change none", async (t) => {
  const { topology, state, changes } = setUp();
  t.is(topology.current(), undefined);
  const first = await topology.refresh("start");
  t.is(first.version, 1);
  t.is(await topology.refresh("request"), first);
  state.view = { ...VIEW, shards: [A, { ...B, epoch: 3 }] };
  const second = await topology.refresh("request");
  t.is(second.version, 2);
  t.deepEqual(changes, [first, second]);
});

test("a reading that fails is reported and leaves the map as it was", async (t) => {
  const { topology, state, failures } = setUp();
  const first = await topology.refresh("start");
  state.view = new Fault("UNAVAILABLE", "no Redis");
  await t.throwsAsync(topology.refresh("request"), { message: "no Redis" });
  topology.suspect("link-lost");
  await new Promise(setImmediate);
  t.is(topology.current(), first);
  t.is(failures.length, 2);
});

test("MOVED changes its slot at once, and a refresh decides", async (t) => {
  const { topology, state } = setUp();
  await topology.refresh("start");
  topology.moved("MOVED 5 10.0.0.2:7000");
  t.is(topology.current()?.ownerOf(5)?.id, "b");
  t.is(topology.current()?.ownerOf(4)?.id, "a");
  await new Promise(setImmediate);
  t.is(state.reads, 2);
  t.is(topology.current()?.ownerOf(5)?.id, "a");
  // An empty host stands for the host of the Redis that answered.
  topology.moved("MOVED 9000 :7000");
  t.is(topology.current()?.ownerOf(9000)?.id, "a");
});

test("MOVED to an unknown address only refreshes", async (t) => {
  const { topology, state } = setUp();
  const first = await topology.refresh("start");
  topology.moved("MOVED 5 10.0.0.9:7000");
  t.is(topology.current(), first);
  await new Promise(setImmediate);
  t.is(state.reads, 2);
});

test("the interval reads in auto mode", async (t) => {
  const { topology, state } = setUp({ intervalMs: 5 });
  await topology.start();
  t.teardown(() => topology.stop());
  await new Promise<void>((resolve) => {
    state.view = { ...VIEW, shards: [A] };
    topology.subscribe(() => resolve());
  });
  t.is(topology.current()?.shards.length, 1);
});

test("manual: a single instance until RefreshCluster, and unmoved by anything else after it", async (t) => {
  const { topology, state } = setUp({ mode: "manual" });
  await topology.start();
  t.teardown(() => topology.stop());
  t.deepEqual(topology.current()?.shards, [{ ...A, slots: [{ start: 0, end: 16383 }] }]);
  topology.suspect("peer-hash");
  topology.moved("MOVED 9000 10.0.0.2:7000");
  t.is(topology.current()?.ownerOf(9000)?.id, "a");
  t.is(state.reads, 1);

  const joined = await topology.refresh("peer");
  t.is(joined.shards.length, 2);
  state.view = { ...VIEW, shards: [A] };
  topology.suspect("interval");
  topology.moved("MOVED 5 10.0.0.2:7000");
  t.is(topology.namedBy("MOVED 5 10.0.0.2:7000"), undefined);
  t.is(topology.current(), joined);
  t.is((await topology.refresh("request")).shards.length, 1);
});

test("manual: a RefreshCluster that fails leaves the single instance; one that waits behind it is served", async (t) => {
  const { topology, state } = setUp({ mode: "manual" });
  await topology.start();
  t.teardown(() => topology.stop());
  state.view = new Fault("UNAVAILABLE", "no Redis");
  await t.throwsAsync(topology.refresh("request"));
  t.is(topology.current()?.shards.length, 1);
  const failed = topology.refresh("request");
  const waiting = topology.refresh("request");
  state.view = VIEW;
  await t.throwsAsync(failed);
  t.is((await waiting).shards.length, 2);
});

test("manual: the first reading is tried until it succeeds", async (t) => {
  const { topology, state } = setUp({ mode: "manual", intervalMs: 5 });
  state.view = new Fault("UNAVAILABLE", "no Redis");
  await topology.start();
  t.teardown(() => topology.stop());
  t.is(topology.current(), undefined);
  const known = new Promise<Topology>((resolve) => topology.subscribe(resolve));
  state.view = VIEW;
  t.is((await known).shards.length, 1);
});

test("a storm of MOVED is read for at once, and once more when the period is over", async (t) => {
  const { topology, state } = setUp();
  t.teardown(() => topology.stop());
  await topology.refresh("start");
  for (let i = 0; i < 10_000; i++) topology.moved(`MOVED ${i} 10.0.0.${i % 3}:7000`);
  // What is under way ends, and no timer gets its turn, however long that has taken.
  for (let turn = 0; turn < 20; turn++) await undefined;
  t.is(state.reads, 2);
  await eventually(() => state.reads === 3, { what: "the second reading" });
});

test("what a peer's MOVED names is known, and changes nothing", async (t) => {
  const { topology, state } = setUp();
  t.teardown(() => topology.stop());
  const first = await topology.refresh("start");
  t.is(topology.namedBy("MOVED 5 10.0.0.2:7000")?.id, "b");
  t.is(topology.namedBy("MOVED 5 10.0.0.9:7000"), undefined);
  t.is(topology.namedBy("the slot moved"), undefined);
  t.is(topology.current(), first);
  await new Promise(setImmediate);
  t.is(state.reads, 2);
});

test("our Redis is asked for one slot that somebody thinks is its own, and is believed", async (t) => {
  const { topology, state } = setUp();
  t.teardown(() => topology.stop());
  await topology.confirm(9000);
  t.is(topology.current(), undefined);
  await topology.refresh("start");
  // Nothing else teaches it meanwhile.
  state.view = new Fault("UNAVAILABLE", "no topology");
  await topology.confirm(9000);
  t.is(topology.current()?.ownerOf(9000)?.id, "a");
  t.is(topology.current()?.ownerOf(9001)?.id, "b");
  t.is(topology.current()?.ownShard?.epoch, 1);
  // It may have got others meanwhile, by a newer epoch.
  state.answer = { kind: "own", epoch: 7 };
  await topology.confirm(9000);
  t.is(topology.current()?.ownShard?.epoch, 7);
  state.answer = { kind: "moved", text: "MOVED 9000 10.0.0.2:7000" };
  await topology.confirm(9000);
  t.is(topology.current()?.ownerOf(9000)?.id, "b");
});
