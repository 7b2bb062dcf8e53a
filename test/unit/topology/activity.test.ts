import test from "ava";
import { type CoordinatorConnection, isActive, isAlive, nextStep } from "../../../src/topology/activity.ts";
import { SlotMap } from "../../../src/topology/slot-map.ts";

const LEASE_MS = 3000;
const OWN = { id: "7", runId: "me" };

function connection(id: string, runId: string, purpose: CoordinatorConnection["purpose"], idleMs = 0) {
  return { id, runId, purpose, idleMs };
}

test("the lease is free where nobody else is active", (t) => {
  const others = [
    connection("3", "other", "standby"),
    connection("4", "other", "sandbox"),
    connection("7", "me", "active"),
  ];
  t.deepEqual(nextStep(others, OWN, LEASE_MS), { kind: "take" });
  t.deepEqual(nextStep([], OWN, LEASE_MS), { kind: "take" });
});

test("who finds a holder stands by, whatever the ids say", (t) => {
  for (const id of ["3", "9"]) {
    const listed = [connection(id, "other", "active", 2000), connection("7", "me", "active")];
    t.deepEqual(nextStep(listed, OWN, LEASE_MS), { kind: "stand-by", holder: id });
  }
});

test("a holder that was silent for a lease loses all its connections, and only its own", (t) => {
  const listed = [
    connection("3", "hung", "active", 3000),
    connection("4", "hung", "sandbox"),
    connection("5", "other", "standby", 9000),
    connection("7", "me", "standby"),
  ];
  t.deepEqual(nextStep(listed, OWN, LEASE_MS), { kind: "fence", connections: ["3", "4"] });
});

test("an earlier connection of ours is ended alone", (t) => {
  const listed = [connection("3", "me", "active"), connection("4", "me", "sandbox"), connection("7", "me", "standby")];
  t.deepEqual(nextStep(listed, OWN, LEASE_MS), { kind: "fence", connections: ["3"] });
});

test("a holder that gave the name back is none", (t) => {
  t.false(isAlive(connection("3", "other", "standby"), LEASE_MS));
  t.true(isAlive(connection("3", "other", "active", 2000), LEASE_MS));
});

test("a replica's coordinator stands by even with the lease", (t) => {
  const held = { isHeld: () => true, subscribe: () => () => undefined };
  const lost = { ...held, isHeld: () => false };
  const shard = { id: "a", address: { host: "h", port: 1 }, slots: [], epoch: 0 };
  const master = SlotMap.from({ self: "a", selfShard: "a", shards: [shard], replicas: [] }, 1);
  const replica = SlotMap.from({ self: "b", selfShard: "a", shards: [shard], replicas: [] }, 1);
  t.true(isActive(held, master));
  t.false(isActive(lost, master));
  t.false(isActive(held, replica));
  t.false(isActive(held, undefined));
});
