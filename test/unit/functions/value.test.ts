import test from "ava";
import fc from "fast-check";
import { Fault } from "../../../src/base/fault.ts";
import { WireError } from "../../../src/base/wire.ts";
import { decodeValue, encodeValue, MAX_VALUE_DEPTH, type Value } from "../../../src/functions/value.ts";

/** Values as decoding gives them, so that they survive a round trip unchanged. */
const decoded = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }),
    fc.double().filter((number) => !Number.isInteger(number)),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(tie("value"), { maxLength: 4 }).map((items) => new Set(items)),
    fc.array(fc.tuple(tie("value"), tie("value")), { maxLength: 4 }).map((entries) => new Map(entries)),
  ),
})).value;

test("a value survives encoding and decoding", (t) => {
  fc.assert(
    fc.property(decoded, (value) => {
      t.deepEqual(decodeValue(encodeValue(value)), value);
    }),
  );
});

test("strings are bulk, numbers without a fraction are integers", (t) => {
  t.deepEqual(decodeValue(encodeValue("é")), Buffer.from("é"));
  t.is(decodeValue(encodeValue(-3)), -3n);
  t.is(decodeValue(encodeValue(1e300)), BigInt(1e300));
  t.is(decodeValue(encodeValue(0.5)), 0.5);
});

test("integers at the edges of int64 are integers, those beyond are big numbers", (t) => {
  const min = -(2n ** 63n);
  const max = 2n ** 63n - 1n;
  for (const inside of [min, max]) t.is(encodeValue(inside)[0], 3 * 8);
  for (const outside of [min - 1n, max + 1n]) t.is(encodeValue(outside)[0], 6 * 8 + 2);
  for (const value of [min - 1n, min, max, max + 1n]) t.is(decodeValue(encodeValue(value)), value);
});

function nested(depth: number): Value {
  let value: Value = 1n;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

test("nesting is bounded", (t) => {
  t.notThrows(() => decodeValue(encodeValue(nested(MAX_VALUE_DEPTH))));
  const fault = t.throws(() => encodeValue(nested(MAX_VALUE_DEPTH + 1)), { instanceOf: Fault });
  t.is(fault?.message, "nesting level reached");
});

test("garbage is refused, never misread beyond its end", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        decodeValue(bytes);
      } catch (error) {
        t.true(error instanceof WireError, String(error));
      }
    }),
  );
});
