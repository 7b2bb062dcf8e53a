import test from "ava";
import fc from "fast-check";
import { CacheKeys } from "../../../src/redis/cache-keys.ts";
import { decodeObject, encodeNumber, encodeObject, REVISION } from "../../../src/redis/cache-object.ts";
import { slotOf } from "../../../src/redis/key-slot.ts";

const number = fc.maxSafeNat();

test("an object is kept as it is", (t) => {
  const objects = fc.record({
    value: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    createdAtMs: number,
    readAtMs: number,
    expireTimestampMs: number,
    revision: number,
  });
  fc.assert(
    fc.property(objects, (object) => {
      const bytes = encodeObject(object);
      t.deepEqual(decodeObject(bytes), object);
      t.deepEqual(bytes.subarray(REVISION, REVISION + 8), encodeNumber(object.revision));
    }),
  );
});

test("what is no object of ours is told apart", (t) => {
  t.is(decodeObject(Buffer.alloc(32, 1)), undefined);
  t.is(decodeObject(Buffer.from(`{"value":1,"createdAt":1764280000000,"pad":"${"x".repeat(40)}"}`)), undefined);
});

test("the lock of a key, and a list that is restored, are in its slot, and their names say which key it is", (t) => {
  const keys = new CacheKeys("blue");
  const texts = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom("{", "}", "a", ":") }));
  fc.assert(
    fc.property(texts, (key) => {
      const object = keys.object(key);
      const slot = slotOf(Buffer.from(object));
      for (const place of [keys.placeOf(key), keys.restoredPlaceOf(key, "id")]) {
        t.is(place.slot, slot);
        for (const each of place.keys) t.is(slotOf(Buffer.from(each)), slot);
      }
      t.is(keys.ofObject(object), key);
      t.is(keys.ofLock(keys.placeOf(key).keys[1] ?? ""), key);
    }),
  );
});
