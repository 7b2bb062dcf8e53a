import test from "ava";
import { type Condition, missingRequirement } from "../../../src/app/requirements.ts";
import { Fault } from "../../../src/base/fault.ts";
import type { Replication } from "../../../src/topology/replication.ts";
import { SlotMap } from "../../../src/topology/slot-map.ts";

const shard = (id: string) => ({ id, address: { host: "h", port: 1 }, slots: [], epoch: 1 });
const mapOf = (selfShard: string) =>
  SlotMap.from({ self: "own", selfShard, shards: [shard("own"), shard("other")], replicas: [] }, 1);
const PEER = { request: () => Promise.reject(new Error("nobody asks")) };

/** What is missing first, of a coordinator that lacks nothing else. */
function missing(
  replication: Replication | undefined,
  selfShard: string | undefined,
  linked: readonly string[] = [],
  objection?: Fault,
) {
  const condition: Condition = {
    isClosing: () => false,
    redis: { isUp: () => true, replication: { current: () => replication } },
    shards: {
      topology: () => (selfShard === undefined ? undefined : mapOf(selfShard)),
      isActive: () => true,
      objection: () => objection,
      peer: (id) => (linked.includes(id) ? PEER : undefined),
    },
    isSandboxRunning: () => true,
    isLevel: () => true,
    hasJoined: () => true,
  };
  return missingRequirement(condition);
}

const MASTER: Replication = { kind: "master" };
const FOLLOWING: Replication = { kind: "replica", isLinked: true };
const LOST: Replication = { kind: "replica", isLinked: false };
const CHANGED = "Redis became master or replica, and the topology does not show it yet";

const CASES: readonly [what: string, reason: string | undefined, ...given: Parameters<typeof missing>][] = [
  ["a master serves, also without links", undefined, MASTER, "own"],
  ["a replica serves by its master's coordinator", undefined, FOLLOWING, "other", ["other"]],
  ["not before the topology is known", "the topology is not known yet", MASTER, undefined],
  ["not before Redis said what it is", CHANGED, undefined, "own"],
  ["not while a promotion does not show", CHANGED, MASTER, "other", ["other"]],
  ["not while a master became a replica", CHANGED, FOLLOWING, "own"],
  ["not without the master", "Redis is a replica that has lost its master", LOST, "other", ["other"]],
  [
    "not without the master's coordinator",
    "Redis is a replica, and its master's coordinator is not linked",
    FOLLOWING,
    "other",
    ["own"],
  ],
  ["not without the ownership lease", "no lease", MASTER, "own", [], new Fault("UNAVAILABLE", "no lease")],
];

for (const [what, reason, ...given] of CASES) {
  test(`ready: ${what}`, (t) => {
    t.is(missing(...given), reason);
  });
}
