import { join } from "node:path";
import test from "ava";
import fc from "fast-check";
import protobuf from "protobufjs";
import {
  type Confirmation,
  decodeConfirmation,
  encodeConfirmation,
  newerOwners,
} from "../../../src/topology/confirmation.ts";
import { SlotMap } from "../../../src/topology/slot-map.ts";

const A = { id: "a", address: { host: "h", port: 1 }, slots: [{ start: 0, end: 99 }], epoch: 1 };
const B = { id: "b", address: { host: "h", port: 2 }, slots: [{ start: 100, end: 199 }], epoch: 2 };
const C = { id: "c", address: { host: "h", port: 3 }, slots: [], epoch: 3 };
const map = SlotMap.from({ self: "b", selfShard: "b", shards: [A, B, C], replicas: [] }, 1);

test("whoever knows the same map knows no newer owner", (t) => {
  t.deepEqual(newerOwners(map, { nodeId: "a", epoch: 1, topologyHash: map.hash }), []);
});

test("newer owners are those of a higher epoch that own anything, and never the one that asks", (t) => {
  const claim = { nodeId: "a", epoch: 1, topologyHash: "another" };
  t.deepEqual(newerOwners(map, claim), [{ address: "h:2", epoch: 2, slots: [{ start: 100, end: 199 }] }]);
  t.deepEqual(newerOwners(map, { ...claim, epoch: 2 }), []);
  t.deepEqual(newerOwners(map, { ...claim, nodeId: "b" }), []);
  // Where two have one epoch, neither is newer.
  t.deepEqual(newerOwners(map, { ...claim, nodeId: "somebody", epoch: 2 }), []);
});

const slot = fc.nat({ max: 16_383 });
const confirmation: fc.Arbitrary<Confirmation> = fc.record({
  ageMs: fc.nat({ max: 0xffff_ffff }),
  newerOwners: fc.array(
    fc.record({
      address: fc.string({ unit: "grapheme" }),
      epoch: fc.maxSafeNat(),
      slots: fc.array(fc.record({ start: slot, end: slot }), { maxLength: 5 }),
    }),
    { maxLength: 5 },
  ),
});

test("a confirmation reads as it was written, here and by the .proto", (t) => {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => join("proto", target);
  const type = root.loadSync("gearmesh/v1/envelope.proto").lookupType("gearmesh.v1.OwnershipConfirmation");
  fc.assert(
    fc.property(confirmation, (given) => {
      const bytes = encodeConfirmation(given);
      t.deepEqual(decodeConfirmation(bytes), given);
      t.deepEqual(type.toObject(type.decode(bytes), { longs: Number, defaults: true, arrays: true }), given);
    }),
  );
});

test("an age is rounded up, so that it is never younger than it was", (t) => {
  t.is(decodeConfirmation(encodeConfirmation({ ageMs: 0.2, newerOwners: [] })).ageMs, 1);
});
