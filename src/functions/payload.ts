import { WireError, WireReader, WireWriter } from "../base/wire.ts";

/** One argument or the result of a remote function: the bytes of an ArrayBuffer, or the text that JSON.stringify wrote. */
export type Payload = Uint8Array | string;

const RAW = 1;
const JSON_TEXT = 2;

/** `gearmesh.v1.Payload`. */
export function encodePayload(payload: Payload): Buffer {
  const writer = new WireWriter(payload.length + 16);
  return (typeof payload === "string" ? writer.string(JSON_TEXT, payload) : writer.bytes(RAW, payload)).finish();
}

/** Bytes are a view into the message. Throws WireError. */
export function decodePayload(message: Uint8Array): Payload {
  let payload: Payload | undefined;
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === RAW) payload = reader.bytes();
    else if (reader.field === JSON_TEXT) payload = reader.string();
  }
  if (payload === undefined) throw new WireError("the payload is neither bytes nor JSON");
  return payload;
}
