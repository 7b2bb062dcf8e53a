import { Buffer } from "node:buffer";
import { Fault } from "./fault.ts";
import { checkJson } from "./json-scan.ts";
import { checkPayloadTexts, decodePayload, encodePayload } from "./payload.ts";
import { WireError } from "./wire.ts";

/** A value that JSON can say, or bytes. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** The payload of a value; what JSON cannot say is null, as in an array. Throws INVALID_ARGUMENT for what it cannot write at all, such as a cycle. */
export function payloadOf(value: unknown): Buffer {
  if (value instanceof Uint8Array) return encodePayload(value);
  if (value instanceof ArrayBuffer) return encodePayload(new Uint8Array(value));
  return encodePayload(jsonText(value));
}

/** What JSON says of a value, null where it cannot say anything. Throws INVALID_ARGUMENT for what it cannot write at all, such as a cycle or too many levels. */
export function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch (cause) {
    throw new Fault("INVALID_ARGUMENT", `a value is neither bytes nor JSON: ${(cause as Error).message}`, { cause });
  }
}

/** What a payload says: bytes, or what its JSON does. Throws INVALID_ARGUMENT for one that is neither. */
export function payloadValue(payload: Uint8Array): JsonValue | Uint8Array {
  const decoded = read(() => decodePayload(payload));
  if (typeof decoded !== "string") return decoded;
  try {
    return JSON.parse(decoded) as JsonValue;
  } catch (cause) {
    throw new Fault("INVALID_ARGUMENT", `a value is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Payloads by name as one JSON object. Bytes, which JSON has not, are base64. */
export function jsonOf(payloads: ReadonlyMap<string, Uint8Array>): JsonValue {
  const entries = [...payloads].map(([name, payload]) => {
    const value = payloadValue(payload);
    return [name, value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value] as const;
  });
  return Object.fromEntries(entries);
}

/**
 * Throws INVALID_ARGUMENT for a payload that is neither bytes nor JSON, as `checkJson` has it. What passes may be sent on as it came: an implementation that refuses every text which is not UTF-8
 * would refuse the whole frame for it.
 */
export function checkPayload(payload: Uint8Array): void {
  read(() => checkPayloadTexts(payload, checkJson));
}

function read<T>(decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (!(cause instanceof WireError)) throw cause;
    throw new Fault("INVALID_ARGUMENT", `a value is neither bytes nor JSON: ${cause.message}`, { cause });
  }
}
