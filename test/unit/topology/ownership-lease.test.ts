import test from "ava";
import type { NewerOwner } from "../../../src/topology/confirmation.ts";
import { OwnershipLease } from "../../../src/topology/ownership-lease.ts";
import { SlotMap } from "../../../src/topology/slot-map.ts";

const LEASE_MS = 1000;
const NOBODY: readonly NewerOwner[] = [];

/** A shard of as many slots as it likes, a hundred for each index. */
const shard = (index: number, { slots = 100, epoch = index + 1 } = {}) => ({
  id: `node-${index}`,
  address: { host: "h", port: 7000 + index },
  slots: slots === 0 ? [] : [{ start: index * 100, end: index * 100 + slots - 1 }],
  epoch,
});

/** What node 0 knows of this many masters. */
function setUp({ masters = 3, leaseMs = LEASE_MS } = {}) {
  const mapOf = (shards: readonly ReturnType<typeof shard>[]) =>
    SlotMap.from({ self: "node-0", selfShard: "node-0", shards, replicas: [] }, 1);
  const state = {
    now: 10_000,
    knownAtMs: 10_000 as number | undefined,
    map: mapOf(Array.from({ length: masters }, (_, index) => shard(index))),
  };
  const lease = new OwnershipLease({
    topology: () => state.map,
    knownAtMs: () => state.knownAtMs,
    leaseMs,
    now: () => state.now,
  });
  const confirm = (index: number, { ageMs = 0, newerOwners = NOBODY } = {}) =>
    lease.confirmed(`node-${index}`, state.now, { ageMs, newerOwners });
  return { state, lease, confirm, mapOf, code: (slot?: number) => lease.objection(slot)?.code };
}

test("without a majority nothing is answered, with one everything is, until a lease has passed", (t) => {
  const { state, confirm, code } = setUp();
  t.is(code(5), "UNAVAILABLE", "one of three");
  t.is(code(), "UNAVAILABLE");
  confirm(1);
  t.is(code(5), undefined, "two of three");
  t.is(code(), undefined);
  state.now += LEASE_MS - 1;
  t.is(code(5), undefined);
  state.now += 1;
  t.is(code(5), "UNAVAILABLE");
  // What our own Redis says is one voice among others.
  confirm(1);
  t.is(code(5), "UNAVAILABLE");
  confirm(2);
  t.is(code(5), undefined);
});

test("a majority of five is three, and the third decides until when", (t) => {
  const { state, confirm, code } = setUp({ masters: 5 });
  confirm(1);
  t.is(code(5), "UNAVAILABLE");
  state.now += 300;
  confirm(2);
  t.is(code(5), undefined);
  state.now += LEASE_MS - 300;
  t.is(code(5), "UNAVAILABLE", "two of the three are too old");
});

test("a confirmation is as old as what it says, and an older one takes nothing back", (t) => {
  const { state, confirm, code } = setUp();
  confirm(1, { ageMs: 400 });
  state.now += 599;
  t.is(code(5), undefined);
  state.now += 1;
  t.is(code(5), "UNAVAILABLE");
  state.knownAtMs = state.now;
  confirm(1);
  confirm(1, { ageMs: 900 });
  state.now += 900;
  t.is(code(5), undefined);
});

test("a slot that somebody knows a newer owner of is his, and the others are not", (t) => {
  const { state, lease, confirm, code, mapOf } = setUp();
  const newerOwners = [{ address: "h:7003", epoch: 4, slots: [{ start: 5, end: 7 }] }];
  confirm(1, { newerOwners });
  t.like(lease.objection(5), { code: "MOVED", message: "MOVED 5 h:7003" });
  t.is(code(4), undefined);
  t.is(code(8), undefined);
  t.is(code(), undefined, "the shard is not as a whole another's");
  // One that does not know of it does not say that it is not so.
  confirm(2);
  t.is(code(5), "MOVED");
  // Ours is the newest claim once our Redis has the slot back.
  state.map = mapOf([shard(0, { epoch: 5 }), shard(1), shard(2)]);
  t.is(code(5), undefined);
  // So it is where the one that spoke of another owner does so no more.
  state.map = mapOf([shard(0), shard(1), shard(2)]);
  t.is(code(5), "MOVED");
  confirm(1);
  t.is(code(5), undefined);
});

test("a shard that was taken over answers nothing, also without a slot", (t) => {
  const { lease, confirm, code } = setUp();
  confirm(1, { newerOwners: [{ address: "h:7003", epoch: 4, slots: [{ start: 0, end: 99 }] }] });
  t.is(code(5), "MOVED");
  t.regex(lease.objection()?.message ?? "", /h:7003 has taken over this shard/);
});

test("no lease is needed with fewer than three masters, where it is off, or without a map", (t) => {
  t.is(setUp({ masters: 2 }).code(5), undefined);
  t.is(setUp({ leaseMs: 0 }).code(5), undefined);
  const without = new OwnershipLease({
    topology: () => undefined,
    knownAtMs: () => undefined,
    leaseMs: LEASE_MS,
    now: () => 0,
  });
  t.is(without.objection(5), undefined);
});

test("who is no master with slots has no voice, but our own shard has", (t) => {
  const { state, confirm, code, mapOf } = setUp();
  confirm(1);
  confirm(9);
  t.is(code(5), undefined);
  state.map = mapOf([shard(0), shard(1, { slots: 0 }), shard(2), shard(3)]);
  t.is(code(5), "UNAVAILABLE", "one of three");
  // It gets slots anew, and has to confirm anew.
  state.map = mapOf([shard(0), shard(1), shard(2), shard(3)]);
  t.is(code(5), "UNAVAILABLE");
  confirm(1);
  t.is(code(5), "UNAVAILABLE", "two of four");
  confirm(2);
  t.is(code(5), undefined);
  // Without slots of our own, for one that is on its way here.
  state.map = mapOf([shard(0, { slots: 0 }), shard(1), shard(2), shard(3)]);
  t.is(code(), undefined, "three of four");
});
