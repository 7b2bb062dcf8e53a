import {
  byteStrings,
  bytes,
  dictionary,
  encoded,
  flag,
  type MessageOf,
  message,
  nested,
  text,
  texts,
  uint,
} from "../base/message.ts";

/** Attributes of a connection, and its params: either take 64 KiB together, and three bytes each at least. */
const MAX_VALUES = 32_768;

/** Deliveries that are handed over with a connection: as many as `maxWaitingDeliveries` may be. */
const MAX_DELIVERIES = 1_000_000;

/** `gearmesh.v1.ConnectionDetails`. */
export const connectionDetails = message({
  id: text(1),
  type: text(2),
  fingerprint: text(3),
  remoteIp: text(4),
  remotePort: uint(5),
  connectedAtMs: uint(6),
  rooms: texts(7),
  totalActions: uint(8),
  pendingActions: uint(9),
  attributes: dictionary(10, MAX_VALUES),
  node: text(11),
  params: dictionary(12, MAX_VALUES),
});
export type ConnectionDetails = MessageOf<typeof connectionDetails>;

/** `gearmesh.v1.OpenConnectionRequest`. */
export const openConnectionRequest = message({
  type: text(1),
  fingerprint: text(2),
  params: dictionary(3),
  methods: texts(4),
  resumeToken: text(5),
  receivedSequence: uint(6),
});
export type OpenConnectionRequest = MessageOf<typeof openConnectionRequest>;

/** `gearmesh.v1.OpenConnectionResponse`. */
export const openConnectionResponse = message({
  details: nested(1, connectionDetails),
  resumeToken: text(2),
  resumeGraceMs: uint(3),
  resumed: flag(4),
});
export type OpenConnectionResponse = MessageOf<typeof openConnectionResponse>;

/** `gearmesh.v1.ApplyRequest`. */
export const applyRequest = message({
  connectionId: text(1),
  method: text(2),
  args: byteStrings(3),
  timeoutMs: uint(4),
});
export type ApplyRequest = MessageOf<typeof applyRequest>;

/** `gearmesh.v1.ApplyResponse`. */
export const applyResponse = message({ details: nested(1, connectionDetails), result: encoded(2) });
export type ApplyResponse = MessageOf<typeof applyResponse>;

/** `gearmesh.v1.VerbRequest`. */
export const verbRequest = message({ verb: text(1), args: byteStrings(2) });
export type VerbRequest = MessageOf<typeof verbRequest>;

/** `gearmesh.v1.VerbResponse`. */
export const verbResponse = message({ result: bytes(1) });

/** `gearmesh.v1.RegisterMethodRequest`, and UnregisterMethodRequest. */
export const methodName = message({ method: text(1) });

/** `gearmesh.v1.TakeOverConnectionRequest`. */
export const takeOverRequest = message({ connectionId: text(1), tokenHash: bytes(2), receivedSequence: uint(3) });
export type TakeOverRequest = MessageOf<typeof takeOverRequest>;

/** `gearmesh.v1.TakeOverConnectionResponse`. */
export const takeOverResponse = message({
  details: nested(1, connectionDetails),
  lastSequence: uint(2),
  deliveries: byteStrings(3, MAX_DELIVERIES),
});
export type TakeOverResponse = MessageOf<typeof takeOverResponse>;

/** `gearmesh.v1.Missed`. */
export const missed = message({ count: uint(1), unknown: flag(2) });

/** `gearmesh.v1.Delivery`: one of its contents. What was said in a room stays encoded: rooms know it. */
export const delivery = message({
  sequence: uint(1),
  message: encoded(2),
  roomMessage: encoded(3),
  missed: nested(4, missed),
});
export type Delivery = MessageOf<typeof delivery>;
