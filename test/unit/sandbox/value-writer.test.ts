import test from "ava";
import fc from "fast-check";
import { decodeValue, encodeValue, type Value } from "../../../src/functions/value.ts";
import { ValueWriter } from "../../../src/sandbox/guest/value-writer.ts";

const MAX_BYTES = 64 * 1024;

function written(value: unknown, maxBytes = MAX_BYTES): Buffer {
  const writer = new ValueWriter(maxBytes);
  writer.write(value);
  return Buffer.from(writer.finish());
}

const anything = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.double(),
    fc.integer(),
    fc.string({ unit: "binary" }),
    fc.uint8Array(),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(tie("value"), { maxLength: 4 }).map((items) => new Set(items)),
    fc.array(fc.tuple(tie("value"), tie("value")), { maxLength: 4 }).map((entries) => new Map(entries)),
  ),
})).value;

test("the guest writes byte for byte what the host's codec writes", (t) => {
  fc.assert(
    fc.property(anything, (value) => {
      t.deepEqual(written(value), encodeValue(value));
    }),
    { numRuns: 500 },
  );
});

test("an object is a map of its own properties, undefined is null, an error is its text", (t) => {
  const object = Object.create({ inherited: 1 });
  object.a = undefined;
  object.b = new RangeError("far");
  t.deepEqual(
    decodeValue(written(object)),
    new Map<Value, Value>([
      [Buffer.from("a"), null],
      [Buffer.from("b"), Buffer.from("RangeError: far")],
    ]),
  );
  t.deepEqual(decodeValue(written(new Uint8Array([1, 2]).buffer)), Buffer.from([1, 2]));
});

test("a lone surrogate becomes U+FFFD", (t) => {
  t.deepEqual(decodeValue(written("a\ud800b\udc00")), Buffer.from("a\ufffdb\ufffd"));
});

test("a cycle ends at the nesting limit", (t) => {
  const cycle: unknown[] = [];
  cycle.push(cycle);
  t.throws(() => written(cycle), { message: "nesting level reached" });
});

test("what cannot be a result says so", (t) => {
  t.throws(() => written([() => 1]), { message: "a function cannot be a result" });
  t.throws(() => written([Symbol("s")]), { message: "a symbol cannot be a result" });
  t.throws(() => written([1n << 65537n]), { message: "the integer has more than 65536 bits" });
});

test("the size is bounded to the byte, whatever the shape", (t) => {
  for (const value of [
    "x".repeat(1000),
    ["é".repeat(500)],
    new Uint8Array(1000),
    Array(300).fill(true),
    { k: "v".repeat(990) },
  ]) {
    const size = written(value).length;
    t.is(written(value, size).length, size);
    t.throws(() => written(value, size - 1), { message: `the result takes more than ${size - 1} bytes` });
  }
});
