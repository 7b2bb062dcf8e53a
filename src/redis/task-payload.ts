import { Buffer } from "node:buffer";
import { decodePayload, encodePayload } from "../base/payload.ts";

/*
 * What a task is given and what comes of it, as its queue keeps it: JSON in any case, so that whatever else reads BullMQ's queues can show it. `{"json": ...}` is what JSON says, `{"bytes": "..."}`
 * are bytes in base64.
 */

const JSON_START = '{"json":';
const BYTES_START = '{"bytes":"';

/** `payload` is encoded; undefined: null. */
export function storedPayload(payload: Uint8Array | undefined): string {
  if (payload === undefined) return `${JSON_START}null}`;
  const value = decodePayload(payload);
  if (typeof value === "string") return `${JSON_START}${value}}`;
  return `${BYTES_START}${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64")}"}`;
}

/** Undefined where nothing of that kind is stored. */
export function loadedPayload(stored: string): Buffer | undefined {
  if (stored.startsWith(JSON_START)) return encodePayload(stored.slice(JSON_START.length, -1));
  if (!stored.startsWith(BYTES_START)) return undefined;
  return encodePayload(Buffer.from(stored.slice(BYTES_START.length, -2), "base64"));
}
