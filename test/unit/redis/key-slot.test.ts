import { Buffer } from "node:buffer";
import test from "ava";
import fc from "fast-check";
import { keysBySlot, slotOf } from "../../../src/redis/key-slot.ts";

/** CRC16 (XMODEM) bit by bit. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  }
  return crc & 0xffff;
}

/** As the cluster specification words it. */
function specifiedSlot(key: Buffer): number {
  const open = key.indexOf("{");
  const close = open === -1 ? -1 : key.indexOf("}", open + 1);
  return crc16(close > open + 1 ? key.subarray(open + 1, close) : key) % 16384;
}

// As CLUSTER KEYSLOT answers.
for (const [key, slot] of [
  ["123456789", 12739],
  ["foo{bar}{zap}", 5061],
  ["{{a}", 10276],
  ["{}foo}", 2045],
  ["a{}{b}c", 14872],
  ["{}{}x}", 4667],
] as const) {
  test(`${key} is in slot ${slot}`, (t) => t.is(slotOf(Buffer.from(key)), slot));
}

test("every key is where the cluster specification puts it", (t) => {
  const byte = fc.oneof(fc.constantFrom(0x7b, 0x7d), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 30 }), (bytes) => {
      t.is(slotOf(Uint8Array.from(bytes)), specifiedSlot(Buffer.from(bytes)));
    }),
    { numRuns: 2000 },
  );
});

test("there is a key for each slot", (t) => {
  const slots = keysBySlot().map((key) => slotOf(Buffer.from(key)));
  t.deepEqual(slots, [...Array(16_384).keys()]);
});
