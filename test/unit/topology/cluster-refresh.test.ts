import test from "ava";
import type { CallContext } from "../../../src/base/call-context.ts";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { ClusterRefresh } from "../../../src/topology/cluster-refresh.ts";
import type { RefreshCause } from "../../../src/topology/live-topology.ts";
import { SlotMap } from "../../../src/topology/slot-map.ts";
import type { Topology } from "../../../src/topology/topology.ts";

const context: CallContext = { deadline: deadlineIn(1000), signal: new AbortController().signal, depth: 0 };
const shard = (id: string) => ({ id, address: { host: id, port: 7000 }, slots: [], epoch: 1 });
const MAP = SlotMap.from(
  { self: "b", selfShard: "b", shards: ["a", "b", "c"].map(shard), replicas: [shard("replica")] },
  4,
);

function setUp(own: Topology | Fault, current: Topology | undefined = MAP) {
  const causes: RefreshCause[] = [];
  const asked: string[] = [];
  const refresh = new ClusterRefresh({
    current: () => current,
    async refresh(cause) {
      causes.push(cause);
      if (own instanceof Fault) throw own;
      return own;
    },
    async refreshPeer(id) {
      asked.push(id);
      if (id === "c") throw new Fault("UNAVAILABLE", "no link to c");
      return { version: 7, hash: "h" };
    },
  });
  return { refresh, causes, asked };
}

test("every shard is refreshed, and one's failure is its own", async (t) => {
  const { refresh, causes, asked } = setUp(MAP);
  const outcomes = await refresh.everywhere(context);
  t.deepEqual(
    outcomes.map(({ shard: { id }, outcome }) => [id, outcome instanceof Fault ? outcome.code : outcome.version]),
    [
      ["a", 7],
      ["b", 4],
      ["c", "UNAVAILABLE"],
    ],
  );
  t.deepEqual(causes, ["request"]);
  // The standby is told, and no part of the answer.
  t.deepEqual(asked, ["replica", "a", "c"]);
});

test("a refresh from a peer goes no further", async (t) => {
  const { refresh, causes, asked } = setUp(MAP);
  t.deepEqual(await refresh.here(), { version: 4, hash: MAP.hash });
  t.deepEqual(causes, ["peer"]);
  t.deepEqual(asked, []);
});

test("with its own Redis away, a coordinator refreshes the others by the map it has", async (t) => {
  const { refresh } = setUp(new Fault("UNAVAILABLE", "no Redis"));
  const outcomes = await refresh.everywhere(context);
  t.deepEqual(
    outcomes.map(({ outcome }) => outcome instanceof Fault),
    [false, true, true],
  );
});

test("with no map at all it is unavailable", async (t) => {
  const away = new Fault("UNAVAILABLE", "no Redis");
  const refresh = new ClusterRefresh({
    current: () => undefined,
    refresh: () => Promise.reject(away),
    refreshPeer: () => Promise.reject(new Fault("INTERNAL", "not reached")),
  });
  t.is(await t.throwsAsync(refresh.everywhere(context)), away);
});
