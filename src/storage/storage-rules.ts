import { Buffer } from "node:buffer";
import { Fault } from "../base/fault.ts";
import { checkPayload } from "../base/json-payload.ts";

/** Longest key. Unit: bytes of UTF-8. */
export const MAX_KEY_BYTES = 1024;

/** Throws INVALID_ARGUMENT for what cannot be a key. */
export function checkKey(key: string): void {
  if (key === "") throw new Fault("INVALID_ARGUMENT", "a key is required");
  checkPrefix(key);
}

/** Throws INVALID_ARGUMENT for what no key can begin with. */
export function checkPrefix(prefix: string): void {
  if (Buffer.byteLength(prefix) <= MAX_KEY_BYTES && prefix.isWellFormed()) return;
  throw new Fault("INVALID_ARGUMENT", `a key is text of ${MAX_KEY_BYTES} bytes of UTF-8 at most`);
}

/** The encoded payload that a request came with. Throws INVALID_ARGUMENT where it is none, and RESOURCE_EXHAUSTED where it is too large. */
export function checkedValue(value: Uint8Array | undefined, maxBytes: number): Uint8Array {
  if (value === undefined) throw new Fault("INVALID_ARGUMENT", "a value is required; one that is JSON null says so");
  if (value.length > maxBytes) {
    const bound = `${maxBytes} bytes at most (settings: storageMaxValueBytes, maxMessageBytes)`;
    throw new Fault("RESOURCE_EXHAUSTED", `a value of ${value.length} bytes is too large: ${bound}`);
  }
  checkPayload(value);
  return value;
}
