import test from "ava";
import fc from "fast-check";
import { decodePayload, encodePayload } from "../../../src/base/payload.ts";
import { WireError, WireWriter } from "../../../src/base/wire.ts";

test("bytes stay bytes and JSON stays text", (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), fc.string({ unit: "grapheme" })), (payload) => {
      const decoded = decodePayload(encodePayload(payload));
      return typeof payload === "string"
        ? decoded === payload
        : Buffer.compare(Buffer.from(payload), decoded as Uint8Array) === 0;
    }),
  );
  t.pass();
});

test("an empty ArrayBuffer and an empty text are told apart", (t) => {
  t.deepEqual(decodePayload(encodePayload(new Uint8Array(0))), Buffer.alloc(0));
  t.is(decodePayload(encodePayload("")), "");
});

test("a message that is neither is refused", (t) => {
  t.throws(() => decodePayload(new Uint8Array(0)), { instanceOf: WireError });
  t.throws(() => decodePayload(new WireWriter().string(9, "later").finish()), { instanceOf: WireError });
  t.throws(() => decodePayload(Buffer.from([0x0a, 0x05, 1])), { instanceOf: WireError });
});
