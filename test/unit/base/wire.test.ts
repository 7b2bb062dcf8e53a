import test from "ava";
import fc from "fast-check";
import protobuf from "protobufjs";
import { varintSize, WireError, WireReader, WireWriter } from "../../../src/base/wire.ts";

const numbers = fc.oneof(fc.nat({ max: 300 }), fc.nat(), fc.maxSafeNat());
const field = fc.integer({ min: 1, max: 1000 });

test("fields read back as they were written, and protobufjs writes the same bytes", (t) => {
  fc.assert(
    fc.property(field, numbers, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.double(), (n, u, s, d) => {
      const text = `${u} é ${d}`;
      const written = new WireWriter(1).uint(n, u).sint64(n, s).double(n, d).string(n, text).finish();
      const foreign = protobuf.Writer.create();
      foreign.uint32(n * 8).uint64(String(u));
      foreign.uint32(n * 8).sint64(String(s));
      foreign.uint32(n * 8 + 1).double(d);
      foreign.uint32(n * 8 + 2).string(text);
      t.deepEqual(written, Buffer.from(foreign.finish()));
      const reader = new WireReader(written);
      t.true(reader.next());
      t.is(reader.uint(), u);
      t.true(reader.next());
      t.is(reader.sint64(), s);
      t.true(reader.next());
      t.is(reader.double(), d);
      t.true(reader.next() && reader.holdsBytes);
      t.is(reader.string(), text);
      t.false(reader.next());
    }),
  );
});

test("varintSize is what the varint takes", (t) => {
  fc.assert(
    fc.property(numbers, (value) => {
      t.is(varintSize(value), new WireWriter().uint(1, value).length - 1);
    }),
  );
});

test("what no varint can say is refused, rather than written as another number or without an end", (t) => {
  for (const value of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** 53]) {
    t.throws(() => new WireWriter().uint(1, value), { instanceOf: RangeError }, String(value));
  }
  t.is(new WireWriter().uint(1, Number.MAX_SAFE_INTEGER).length, 9);
});

test("fields that are not read are skipped, in embedded messages too", (t) => {
  const inner = new WireWriter()
    .uint(1, 2 ** 40)
    .string(2, "skipped")
    .double(3, 1.5)
    .uint(4, 7)
    .finish();
  const bytes = new WireWriter().bytes(1, inner).bytes(9, Buffer.alloc(300)).uint(2, 8).finish();
  const reader = new WireReader(bytes);
  t.true(reader.next());
  const outer = reader.enter();
  let last = 0;
  while (reader.next()) if (reader.field === 4) last = reader.uint();
  reader.leave(outer);
  t.is(last, 7);
  t.true(reader.next());
  t.is(reader.field, 9);
  t.true(reader.next());
  t.is(reader.uint(), 8);
  t.false(reader.next());
});

test("any bytes are read to their end or refused with a WireError, never beyond an embedded message", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const reader = new WireReader(bytes);
      try {
        while (reader.next()) {
          if (!reader.holdsBytes) continue;
          const outer = reader.enter();
          while (reader.next());
          reader.leave(outer);
        }
      } catch (error) {
        t.true(error instanceof WireError);
      }
    }),
  );
  const overrun = Buffer.from([0x0a, 0x02, 0x08, 0x80, 0x01]);
  t.throws(
    () => {
      const reader = new WireReader(overrun);
      reader.next();
      reader.enter();
      reader.next();
      reader.uint();
    },
    { instanceOf: WireError },
  );
});

test("an integer beyond 2^53 is refused rather than rounded", (t) => {
  const foreign = protobuf.Writer.create().uint32(8).uint64("18446744073709551615").finish();
  const reader = new WireReader(foreign);
  t.true(reader.next());
  t.throws(() => reader.uint(), { instanceOf: WireError });
});
