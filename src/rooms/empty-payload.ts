import { decodeRequest } from "../base/decode-request.ts";
import { decodePayload } from "../base/payload.ts";

/** JSON that says nothing. */
const EMPTY: ReadonlySet<string> = new Set(["", '""', "null"]);

/** Whether an encoded payload says nothing: no bytes, an empty text or null. Throws INVALID_ARGUMENT for one that is neither bytes nor JSON. */
export function isEmptyPayload(payload: Uint8Array): boolean {
  const decoded = decodeRequest(decodePayload, payload);
  return typeof decoded === "string" ? EMPTY.has(decoded.trim()) : decoded.length === 0;
}
