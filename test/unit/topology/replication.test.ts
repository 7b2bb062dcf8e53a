import test from "ava";
import { isAsMapped, type Replication } from "../../../src/topology/replication.ts";
import { SlotMap } from "../../../src/topology/slot-map.ts";

const MASTER: Replication = { kind: "master" };
const REPLICA: Replication = { kind: "replica", isLinked: true };

function mapOf(selfShard: string) {
  const shards = ["a", "b"].map((id) => ({ id, address: { host: "h", port: 1 }, slots: [], epoch: 1 }));
  return SlotMap.from({ self: "a", selfShard, shards, replicas: [] }, 1);
}

test("a Redis is as the map shows it where both say master, or both say replica", (t) => {
  t.true(isAsMapped(MASTER, mapOf("a")));
  t.true(isAsMapped(REPLICA, mapOf("b")));
  t.false(isAsMapped(MASTER, mapOf("b")), "promoted");
  t.false(isAsMapped(REPLICA, mapOf("a")), "replaced");
});
