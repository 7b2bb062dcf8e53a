import { WireError, WireReader, WireWriter } from "./wire.ts";

/** A value that crosses between nodes, libraries and clients: bytes as they are, or the text of some JSON. */
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
