import { Buffer } from "node:buffer";
import crc16Slot from "cluster-key-slot";
import { SLOT_COUNT, type Slot } from "../topology/topology.ts";

const OPEN = 0x7b;
const CLOSE = 0x7d;

/** The slot of a key: of its hash tag (what stands between the first `{` and the next `}`), or of all of it where that is empty. */
export function slotOf(key: Uint8Array): Slot {
  const bytes = Buffer.isBuffer(key) ? key : Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  const open = bytes.indexOf(OPEN);
  return open !== -1 && bytes[open + 1] === CLOSE ? slotOfWhole(bytes) : crc16Slot(bytes);
}

/**
 * cluster-key-slot goes on looking for a tag after an empty one (`{}a{b}`), where Redis takes the whole key. Without `}` it
 * takes all of what it gets, and without `{` too; and since CRC16 is linear, what is split by exclusive or is joined by it.
 */
function slotOfWhole(key: Buffer): Slot {
  const opens = key.map((byte) => (byte === OPEN ? OPEN : 0));
  const others = key.map((byte) => (byte === OPEN ? 0 : byte));
  return crc16Slot(Buffer.from(opens)) ^ crc16Slot(Buffer.from(others));
}

/** Some key of each slot, by slot. */
export function keysBySlot(): readonly string[] {
  const keys: string[] = [];
  for (let i = 0, missing = SLOT_COUNT; missing > 0; i++) {
    const key = i.toString(36);
    const slot = crc16Slot(key);
    if (keys[slot] !== undefined) continue;
    keys[slot] = key;
    missing--;
  }
  return keys;
}
