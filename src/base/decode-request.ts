import { Fault } from "./fault.ts";
import { WireError } from "./wire.ts";

/** Decodes what a caller sent. Throws INVALID_ARGUMENT for bytes that are no such message: that is no bug of gearmesh. */
export function decodeRequest<T>(decode: (body: Uint8Array) => T, body: Uint8Array): T {
  try {
    return decode(body);
  } catch (cause) {
    if (!(cause instanceof WireError)) throw cause;
    throw new Fault("INVALID_ARGUMENT", `the request is malformed: ${cause.message}`, { cause });
  }
}
