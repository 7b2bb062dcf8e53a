import test from "ava";
import fc from "fast-check";
import protobuf from "protobufjs";
import {
  byteStrings,
  bytes,
  dictionary,
  encoded,
  flag,
  list,
  type MessageOf,
  message,
  nested,
  optionalText,
  text,
  texts,
  uint,
} from "../../../src/base/message.ts";
import { WireError, WireWriter } from "../../../src/base/wire.ts";

const item = message({ name: text(1), count: uint(2) });
const whole = message({
  text: text(1),
  uint: uint(2),
  flag: flag(3),
  bytes: bytes(4),
  encoded: encoded(5),
  optionalText: optionalText(6),
  nested: nested(7, item),
  texts: texts(8),
  byteStrings: byteStrings(9),
  list: list(10, item),
  dictionary: dictionary(11),
});
type Whole = MessageOf<typeof whole>;

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Item { string name = 1; uint64 count = 2; }
  message Whole {
    string text = 1; uint64 uint = 2; bool flag = 3; bytes bytes = 4; optional bytes encoded = 5;
    optional string optionalText = 6; Item nested = 7; repeated string texts = 8; repeated bytes byteStrings = 9;
    repeated Item list = 10; map<string, bytes> dictionary = 11;
  }`);
const Foreign = root.lookupType("Whole");

const anyText = fc.string({ unit: "grapheme", maxLength: 20 });
const anyBytes = fc.uint8Array({ maxLength: 20 }).map((each) => Buffer.from(each));
const anyUint = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat());
const anyItem = fc.record({ name: anyText, count: anyUint });
const anyWhole: fc.Arbitrary<Whole> = fc.record({
  text: anyText,
  uint: anyUint,
  flag: fc.boolean(),
  bytes: anyBytes,
  encoded: fc.option(anyBytes, { nil: undefined }),
  optionalText: fc.option(anyText, { nil: undefined }),
  nested: fc.option(anyItem, { nil: undefined }),
  texts: fc.array(anyText),
  byteStrings: fc.array(anyBytes),
  list: fc.array(anyItem),
  dictionary: fc.dictionary(anyText, anyBytes).map((each) => new Map(Object.entries(each))),
});

test("a message reads as it was written", (t) => {
  fc.assert(
    fc.property(anyWhole, (given) => {
      const read = whole.decode(whole.encode(given));
      t.deepEqual({ ...read, bytes: Buffer.from(read.bytes) }, given);
    }),
  );
});

test("another implementation reads it the same, and what that one writes reads the same here", (t) => {
  fc.assert(
    fc.property(anyWhole, (given) => {
      const foreign = Foreign.decode(whole.encode(given));
      const again = whole.decode(Foreign.encode(foreign).finish());
      t.deepEqual({ ...again, bytes: Buffer.from(again.bytes) }, given);
    }),
  );
});

test("what a message does not have is absent, anew each time", (t) => {
  const [one, other] = [whole.decode(new Uint8Array()), whole.decode(new Uint8Array())];
  t.deepEqual(one.texts, []);
  t.not(one.texts, other.texts);
  t.is(one.encoded, undefined);
  t.is(one.uint, 0);
});

test("fields of a newer release are skipped, and a message that is cut short is refused", (t) => {
  t.is(whole.decode(new WireWriter().string(99, "later").string(1, "x").finish()).text, "x");
  t.throws(() => whole.decode(Buffer.from([0x0a, 0x05, 1])), { instanceOf: WireError });
});

test("many items cost no more than their bytes", (t) => {
  const writer = new WireWriter();
  for (let i = 0; i < 300_000; i++) writer.string(8, "");
  t.is(message({ texts: texts(8, 300_000) }).decode(writer.finish()).texts.length, 300_000);
});

test("a message with more items than its bound is refused, whether they are empty, the same or not", (t) => {
  const small = message({
    texts: texts(1, 3),
    byteStrings: byteStrings(2),
    list: list(3, item, 2),
    dictionary: dictionary(4, 5),
  });
  const of = (field: number, count: number) => {
    const writer = new WireWriter();
    for (let i = 0; i < count; i++) writer.string(field, "");
    return writer.finish();
  };
  for (const [field, most] of [
    [1, 3],
    [2, 4096],
    [3, 2],
    [4, 5],
  ] as const) {
    t.notThrows(() => small.decode(of(field, most)));
    t.throws(() => small.decode(of(field, most + 1)), {
      instanceOf: WireError,
      message: new RegExp(`more than ${most}`),
    });
  }
  t.notThrows(() => small.decode(Buffer.concat([of(1, 3), of(3, 2), of(4, 5)])), "each field has a bound of its own");
});
