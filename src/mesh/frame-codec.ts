import { Buffer } from "node:buffer";
import { addItem } from "../base/items.ts";
import type { RequestIdentity } from "../base/request-identity.ts";
import { varintSize, WireReader, WireWriter } from "../base/wire.ts";
import type {
  CancelEnvelope,
  DeliveryEnvelope,
  Envelope,
  FaultEnvelope,
  RequestEnvelope,
  ResponseEnvelope,
} from "./envelope.ts";
import { decodeOrigin, encodeOrigin, originBytes } from "./request-origin.ts";
import { decodeSessionKind, encodeSessionKind, SESSION_FIELD, type SessionEnvelope } from "./session-codec.ts";

/**
 * Frames, as `gearmesh.v1.LinkRequest`, `LinkResponse`, and those of a client's stream have them: envelopes under
 * field 1. What every call needs is written here in one pass; what a stream needs now and then is in session-codec.ts.
 */
const ENVELOPES = 1;
const REQUEST = 1;
const RESPONSE = 2;
const CANCEL = 3;
const DELIVERY = 10;

const ID = 1;
const TIMEOUT_MS = 2;
const DEPTH = 3;
const ORIGIN = 4;
const FIRST_BODY = 5;
const FROM_ADMIN = 100;
const FAULT = 2;
const FAULT_CODE = 1;
const FAULT_MESSAGE = 2;

/** Most that tags, lengths and numbers of all levels add to an envelope's body. Unit: bytes. */
const OVERHEAD_BYTES = 48;

/** Most bytes that one UTF-16 unit of a string becomes. */
const MAX_UTF8_BYTES = 3;

/** Of its tag, which is above those of the bodies, and of its value. */
const FROM_ADMIN_BYTES = 3;

const NO_BYTES: Buffer = Buffer.alloc(0);

/** What an envelope that belongs to a call takes in a frame, at most. Unit: bytes. */
export function maxEncodedBytes(
  envelope: RequestEnvelope | ResponseEnvelope | FaultEnvelope | DeliveryEnvelope,
): number {
  switch (envelope.kind) {
    case "request":
      return OVERHEAD_BYTES + envelope.body.length + (envelope.identity ? originBytes(envelope.identity) : 0);
    case "response":
      return OVERHEAD_BYTES + envelope.result.length;
    case "fault":
      return OVERHEAD_BYTES + MAX_UTF8_BYTES * (envelope.code.length + envelope.message.length);
    case "delivery":
      return OVERHEAD_BYTES + envelope.delivery.length;
  }
}

/** Appends one envelope to a frame. */
export function writeEnvelope(writer: WireWriter, envelope: Envelope): void {
  switch (envelope.kind) {
    case "request":
      writeRequest(writer, envelope);
      break;
    case "response":
      writeResponse(writer, envelope);
      break;
    case "fault":
      writeFault(writer, envelope);
      break;
    case "cancel":
      writeCancel(writer, envelope);
      break;
    case "delivery":
      writeDelivery(writer, envelope);
      break;
    default:
      writeSession(writer, envelope);
  }
}

export function encodeFrame(envelopes: Iterable<Envelope>): Buffer {
  const writer = new WireWriter();
  for (const envelope of envelopes) writeEnvelope(writer, envelope);
  return writer.finish();
}

/** Envelopes of one frame. Ours have fewer: see FRAME_BYTES and MAX_URGENT in outbox.ts. */
const MAX_FRAME_ENVELOPES = 65_536;

/**
 * All envelopes of a frame, so that nothing of a malformed frame takes effect. Kinds this release does not know are left
 * out. Bodies and results are views into the frame. Throws a WireError, also for more than MAX_FRAME_ENVELOPES.
 */
export function decodeFrame(frame: Uint8Array): Envelope[] {
  const envelopes: Envelope[] = [];
  const reader = new WireReader(frame);
  while (reader.next()) {
    if (reader.field !== ENVELOPES) continue;
    const outer = reader.enter();
    let envelope: Envelope | undefined;
    while (reader.next()) envelope = readKind(reader) ?? envelope;
    reader.leave(outer);
    if (envelope !== undefined) addItem(envelopes, envelope, MAX_FRAME_ENVELOPES);
  }
  return envelopes;
}

function readKind(reader: WireReader): Envelope | undefined {
  switch (reader.field) {
    case REQUEST:
      return readRequest(reader);
    case RESPONSE:
      return readResponse(reader);
    case CANCEL:
      return readCancel(reader);
    case DELIVERY:
      return { kind: "delivery", delivery: reader.bytes() };
    default:
      return decodeSessionKind(reader);
  }
}

function uintSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

function bytesSize(field: number, length: number): number {
  return varintSize(field * 8) + varintSize(length) + length;
}

function writeHeader(writer: WireWriter, kind: number, size: number): void {
  writer.header(ENVELOPES, 1 + varintSize(size) + size).header(kind, size);
}

function writeRequest(writer: WireWriter, envelope: RequestEnvelope): void {
  const { id, timeoutMs, depth, identity, isAdmin, method, body } = envelope;
  const bodySize = method === 0 ? 0 : bytesSize(method, body.length);
  const origin = identity && encodeOrigin(identity);
  const originSize = origin ? bytesSize(ORIGIN, origin.length) : 0;
  const numbersSize = uintSize(id) + uintSize(timeoutMs) + uintSize(depth) + (isAdmin ? FROM_ADMIN_BYTES : 0);
  writeHeader(writer, REQUEST, numbersSize + originSize + bodySize);
  if (id !== 0) writer.uint(ID, id);
  if (timeoutMs !== 0) writer.uint(TIMEOUT_MS, timeoutMs);
  if (depth !== 0) writer.uint(DEPTH, depth);
  if (origin) writer.bytes(ORIGIN, origin);
  if (method !== 0) writer.bytes(method, body);
  if (isAdmin) writer.uint(FROM_ADMIN, 1);
}

function writeResponse(writer: WireWriter, { id, method, result }: ResponseEnvelope): void {
  const resultSize = method === 0 ? 0 : bytesSize(method, result.length);
  writeHeader(writer, RESPONSE, uintSize(id) + resultSize);
  if (id !== 0) writer.uint(ID, id);
  if (method !== 0) writer.bytes(method, result);
}

function writeFault(writer: WireWriter, { id, code, message }: FaultEnvelope): void {
  const fault = new WireWriter(32 + code.length + message.length);
  if (code !== "") fault.string(FAULT_CODE, code);
  if (message !== "") fault.string(FAULT_MESSAGE, message);
  writeHeader(writer, RESPONSE, uintSize(id) + bytesSize(FAULT, fault.length));
  if (id !== 0) writer.uint(ID, id);
  writer.bytes(FAULT, fault.finish());
}

function writeCancel(writer: WireWriter, { id }: CancelEnvelope): void {
  writeHeader(writer, CANCEL, uintSize(id));
  if (id !== 0) writer.uint(ID, id);
}

function writeDelivery(writer: WireWriter, { delivery }: DeliveryEnvelope): void {
  writer.header(ENVELOPES, bytesSize(DELIVERY, delivery.length)).bytes(DELIVERY, delivery);
}

function writeSession(writer: WireWriter, envelope: SessionEnvelope): void {
  const body = encodeSessionKind(envelope);
  const field = SESSION_FIELD[envelope.kind];
  writer.header(ENVELOPES, bytesSize(field, body.length)).bytes(field, body);
}

function readRequest(reader: WireReader): RequestEnvelope {
  let id = 0;
  let timeoutMs = 0;
  let depth = 0;
  let identity: RequestIdentity | undefined;
  let isAdmin = false;
  let method = 0;
  let body = NO_BYTES;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === ID) id = reader.uint();
    else if (reader.field === TIMEOUT_MS) timeoutMs = reader.uint();
    else if (reader.field === DEPTH) depth = reader.uint();
    else if (reader.field === ORIGIN) identity = decodeOrigin(reader.bytes());
    else if (reader.field >= FIRST_BODY && reader.holdsBytes) {
      method = reader.field;
      body = reader.bytes();
    } else if (reader.field === FROM_ADMIN) isAdmin = reader.uint() !== 0;
  }
  reader.leave(outer);
  if (isAdmin && identity) return { kind: "request", id, timeoutMs, depth, identity, isAdmin, method, body };
  if (isAdmin) return { kind: "request", id, timeoutMs, depth, isAdmin, method, body };
  if (identity) return { kind: "request", id, timeoutMs, depth, identity, method, body };
  return { kind: "request", id, timeoutMs, depth, method, body };
}

function readResponse(reader: WireReader): ResponseEnvelope | FaultEnvelope {
  let id = 0;
  let method = 0;
  let result = NO_BYTES;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === ID) id = reader.uint();
    else if ((reader.field === FAULT || reader.field >= FIRST_BODY) && reader.holdsBytes) {
      method = reader.field;
      result = reader.bytes();
    }
  }
  reader.leave(outer);
  return method === FAULT ? readFault(id, result) : { kind: "response", id, method, result };
}

function readFault(id: number, bytes: Uint8Array): FaultEnvelope {
  let code = "";
  let message = "";
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field === FAULT_CODE) code = reader.string();
    else if (reader.field === FAULT_MESSAGE) message = reader.string();
  }
  return { kind: "fault", id, code, message };
}

function readCancel(reader: WireReader): CancelEnvelope {
  let id = 0;
  const outer = reader.enter();
  while (reader.next()) if (reader.field === ID) id = reader.uint();
  reader.leave(outer);
  return { kind: "cancel", id };
}
