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

/** Bytes are a view into the message; text that is not UTF-8 is mended. Throws WireError. */
export function decodePayload(message: Uint8Array): Payload {
  let payload: Payload | undefined;
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === RAW) payload = reader.bytes();
    else if (reader.field === JSON_TEXT) payload = reader.string();
  }
  if (payload === undefined) throw neither();
  return payload;
}

/** Calls `check` with the JSON of a payload as it came: with each, where there are several, since all are sent on although the last one counts. Throws WireError, and what `check` throws. */
export function checkPayloadTexts(message: Uint8Array, check: (json: Uint8Array) => void): void {
  let isPayload = false;
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === JSON_TEXT) check(reader.bytes());
    else if (reader.field === RAW) reader.bytes();
    else continue;
    isPayload = true;
  }
  if (!isPayload) throw neither();
}

function neither(): WireError {
  return new WireError("the payload is neither bytes nor JSON");
}
