import { Buffer } from "node:buffer";
import type { CachedObject } from "../cache/cache-store.ts";

/** What begins an object, so that a string of somebody else is told apart. */
const FORMAT = 1;
/** The format, then as doubles, big endian: when it was created, read and expires, and its revision. The encoded payload follows. */
const CREATED = 1;
export const READ = 9;
export const EXPIRES = 17;
export const REVISION = 25;
const PAYLOAD = 33;

/** One of those numbers, as it is kept. */
export function encodeNumber(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleBE(value);
  return bytes;
}

/** The value is a view. Undefined: it is no object of ours. */
export function decodeObject(bytes: Buffer): CachedObject | undefined {
  if (bytes.length < PAYLOAD || bytes[0] !== FORMAT) return undefined;
  return {
    value: bytes.subarray(PAYLOAD),
    createdAtMs: bytes.readDoubleBE(CREATED),
    readAtMs: bytes.readDoubleBE(READ),
    expireTimestampMs: bytes.readDoubleBE(EXPIRES),
    revision: bytes.readDoubleBE(REVISION),
  };
}

export function encodeObject(object: CachedObject): Buffer {
  const { value, createdAtMs, readAtMs, expireTimestampMs, revision } = object;
  const bytes = Buffer.allocUnsafe(PAYLOAD + value.length);
  bytes[0] = FORMAT;
  bytes.writeDoubleBE(createdAtMs, CREATED);
  bytes.writeDoubleBE(readAtMs, READ);
  bytes.writeDoubleBE(expireTimestampMs, EXPIRES);
  bytes.writeDoubleBE(revision, REVISION);
  bytes.set(value, PAYLOAD);
  return bytes;
}
