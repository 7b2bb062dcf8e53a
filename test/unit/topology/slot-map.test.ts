import test from "ava";
import fc from "fast-check";
import type { ClusterView } from "../../../src/topology/cluster-view.ts";
import { SlotMap } from "../../../src/topology/slot-map.ts";
import { type Shard, SLOT_COUNT, type SlotRange } from "../../../src/topology/topology.ts";

const IDS = ["a", "b", "c", "d"];

function shard(id: string, slots: readonly SlotRange[], epoch = 1): Shard {
  return { id, address: { host: "10.0.0.1", port: 7000 + IDS.indexOf(id) }, slots, epoch };
}

const slot = fc.nat({ max: SLOT_COUNT - 1 });
const ranges = fc.array(
  fc.tuple(slot, slot).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) })),
  { maxLength: 4 },
);
const shards = fc
  .uniqueArray(fc.constantFrom(...IDS), { minLength: 1 })
  .chain((ids) => fc.tuple(...ids.map((id) => fc.tuple(ranges, fc.nat({ max: 3 })).map(([r, e]) => shard(id, r, e)))));
const view = shards.map(
  (all): ClusterView => ({ self: all[0]?.id ?? "", selfShard: all[0]?.id ?? "", shards: all, replicas: [] }),
);

/** Who has a slot, asked the slow way: of those that claim it, the highest epoch, then the lowest id. */
function naiveOwner(all: readonly Shard[], wanted: number): string | undefined {
  return all
    .filter(({ slots }) => slots.some(({ start, end }) => start <= wanted && wanted <= end))
    .sort((a, b) => b.epoch - a.epoch || (a.id < b.id ? -1 : 1))[0]?.id;
}

test("every slot has the owner that the ranges and epochs say", (t) => {
  fc.assert(
    fc.property(view, fc.array(slot, { minLength: 20, maxLength: 20 }), (from, sample) => {
      const map = SlotMap.from(from, 1);
      const edges = from.shards.flatMap(({ slots }) =>
        slots.flatMap(({ start, end }) => [start - 1, start, end, end + 1]),
      );
      for (const wanted of [...sample, ...edges.filter((edge) => edge >= 0 && edge < SLOT_COUNT)]) {
        t.is(map.ownerOf(wanted)?.id, naiveOwner(from.shards, wanted));
      }
    }),
    { numRuns: 50 },
  );
});

test("a shard's ranges are those slots that it owns, in order and joined", (t) => {
  fc.assert(
    fc.property(view, (from) => {
      const map = SlotMap.from(from, 1);
      for (const { id, slots } of map.shards) {
        let before = -2;
        for (const { start, end } of slots) {
          t.true(start > before + 1 && end >= start);
          t.is(map.ownerOf(start)?.id, id);
          t.is(map.ownerOf(end)?.id, id);
          before = end;
        }
      }
    }),
    { numRuns: 50 },
  );
});

test("the hash does not depend on any order, nor on how ranges are cut", (t) => {
  fc.assert(
    fc.property(view, fc.infiniteStream(fc.nat()), (from, random) => {
      const shuffled = from.shards
        .map((one) => ({
          ...one,
          slots: one.slots.flatMap(({ start, end }) => {
            const middle = Math.floor((start + end) / 2);
            return start < end
              ? [
                  { start: middle + 1, end },
                  { start, end: middle },
                ]
              : [{ start, end }];
          }),
        }))
        .map((one) => ({ one, rank: random.next().value }))
        .sort((a, b) => a.rank - b.rank)
        .map(({ one }) => one);
      const other = SlotMap.from({ ...from, shards: shuffled }, 9);
      t.is(other.hash, SlotMap.from(from, 1).hash);
      t.true(other.equals(SlotMap.from(from, 1)));
    }),
    { numRuns: 50 },
  );
});

test("the hash sees ids, epochs and slots; addresses make another map with the same one", (t) => {
  const base = shard("a", [{ start: 0, end: 100 }]);
  const mapOf = (one: Shard) => SlotMap.from({ self: one.id, selfShard: one.id, shards: [one], replicas: [] }, 1);
  const owners = [
    { ...base, id: "b" },
    { ...base, epoch: 2 },
    { ...base, slots: [{ start: 0, end: 101 }] },
  ];
  t.is(new Set([base, ...owners].map((one) => mapOf(one).hash)).size, 4);
  for (const address of [
    { ...base.address, port: 1 },
    { ...base.address, host: "10.0.0.2" },
  ]) {
    const elsewhere = mapOf({ ...base, address });
    t.is(elsewhere.hash, mapOf(base).hash);
    t.false(elsewhere.equals(mapOf(base)));
  }
  t.true(mapOf(base).equals(mapOf(base)));
});

test("replicas make another map with the same hash", (t) => {
  const base = shard("a", [{ start: 0, end: 100 }]);
  const replica = { id: "r", address: { host: "10.0.0.3", port: 1 } };
  const mapOf = (...replicas: (typeof replica)[]) =>
    SlotMap.from({ self: "a", selfShard: "a", shards: [base], replicas }, 1);
  for (const other of [mapOf(), mapOf({ ...replica, id: "s" }), mapOf(replica, { ...replica, id: "s" })]) {
    t.is(other.hash, mapOf(replica).hash);
    t.false(other.equals(mapOf(replica)));
  }
  t.true(mapOf(replica).equals(mapOf(replica)));
  t.is(mapOf(replica).withOwner(5, "a", 9).replicas.length, 1);
});

test("a moved slot changes alone, and the map before stays as it was", (t) => {
  fc.assert(
    fc.property(view, slot, fc.constantFrom(...IDS), fc.nat({ max: 10 }), (from, moved, owner, epoch) => {
      const map = SlotMap.from(from, 1);
      const before = Array.from({ length: SLOT_COUNT }, (_, index) => map.ownerOf(index)?.id);
      const epochs = new Map(map.shards.map((each) => [each.id, each.epoch]));
      const next = map.withOwner(moved, owner, epoch);
      const ownEpoch = epochs.get(owner);
      t.is(next === map, ownEpoch === undefined || (before[moved] === owner && epoch <= ownEpoch));
      const differing = before.flatMap((id, index) => (next.ownerOf(index)?.id === id ? [] : [index]));
      t.deepEqual(differing, next === map || before[moved] === owner ? [] : [moved]);
      if (next !== map) epochs.set(owner, Math.max(epoch, ownEpoch ?? 0));
      for (const each of next.shards) t.true(each.epoch === epochs.get(each.id));
      t.true(before.every((id, index) => map.ownerOf(index)?.id === id));
      if (next === map) return;
      t.is(next.ownerOf(moved)?.id, owner);
      t.is(next.version, 2);
      t.not(next.hash, map.hash);
    }),
    { numRuns: 50 },
  );
});

test("shards stand in order of their lowest slot, those without slots last", (t) => {
  const map = SlotMap.from(
    {
      self: "a",
      selfShard: "a",
      shards: [
        shard("d", []),
        shard("a", [{ start: 9000, end: 16383 }]),
        shard("c", []),
        shard("b", [{ start: 5, end: 8999 }]),
      ],
      replicas: [],
    },
    1,
  );
  t.deepEqual(
    map.shards.map(({ id }) => id),
    ["b", "a", "c", "d"],
  );
  t.is(map.ownerOf(4), undefined);
  t.is(map.ownerOf(5)?.id, "b");
});
