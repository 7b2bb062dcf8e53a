import {
  byteStrings,
  bytes,
  encoded,
  list,
  type MessageOf,
  message,
  nested,
  optionalText,
  text,
  uint,
} from "../base/message.ts";

/** `gearmesh.v1.RpcTarget`: exactly one field is set. */
const rpcTarget = message({ all: encoded(1), node: optionalText(2), connection: optionalText(3), key: encoded(4) });

/** `gearmesh.v1.RpcServiceCallRequest`. Payloads stay encoded. */
export const rpcCallRequest = message({
  method: text(1),
  args: byteStrings(2),
  target: nested(3, rpcTarget),
  wait: uint(4),
  timeoutMs: uint(5),
});
export type RpcCallRequest = MessageOf<typeof rpcCallRequest>;

const faultMessage = message({ code: text(1), message: text(2) });

/** `gearmesh.v1.RpcReply`. */
const rpcReply = message({ node: text(1), result: encoded(2), fault: nested(3, faultMessage) });
export type RpcReply = MessageOf<typeof rpcReply>;

/** `gearmesh.v1.RpcServiceCallResponse`. */
export const rpcCallResponse = message({ replies: list(1, rpcReply), nodes: uint(2) });

/** `gearmesh.v1.RunMethodRequest`. */
export const runMethodRequest = message({
  method: text(1),
  args: byteStrings(2),
  caller: text(3),
  connectionId: text(4),
  slotPlusOne: uint(5),
});
export type RunMethodRequest = MessageOf<typeof runMethodRequest>;

/** `gearmesh.v1.RunMethodResponse`. */
export const runMethodResponse = message({ result: bytes(1), node: text(2) });
export type RunMethodResponse = MessageOf<typeof runMethodResponse>;
