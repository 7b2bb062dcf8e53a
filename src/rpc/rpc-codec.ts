import { addItem } from "../base/items.ts";
import { encoded, list, type MessageCodec, type MessageOf, message, nested, text, uint } from "../base/message.ts";
import { WireReader, WireWriter } from "../base/wire.ts";

/** `gearmesh.v1.RpcServiceCallRequest`. Payloads stay encoded here and everywhere. */
export interface RpcCallRequest {
  readonly method: string;
  readonly args: readonly Uint8Array[];
  readonly target: RpcTarget | undefined;
  readonly wait: number;
  readonly timeoutMs: number;
}

/** `gearmesh.v1.RpcTarget`. */
export interface RpcTarget {
  readonly all?: Uint8Array | undefined;
  readonly node?: string | undefined;
  readonly connection?: string | undefined;
  readonly key?: Uint8Array | undefined;
}

/** `gearmesh.v1.RunMethodRequest`. */
export interface RunMethodRequest {
  readonly method: string;
  readonly args: readonly Uint8Array[];
  readonly caller: string;
  readonly connectionId: string;
  readonly slotPlusOne: number;
  /** The whole of it, encoded, where it is there: it is passed on as it is. */
  readonly encoded?: Uint8Array | undefined;
}

/** `gearmesh.v1.RunMethodResponse`. */
export interface RunMethodResponse {
  readonly result: Uint8Array;
  readonly node: string;
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

export const rpcCallRequest: MessageCodec<RpcCallRequest> = {
  encode({ method, args, target, wait, timeoutMs }) {
    const writer = new WireWriter().string(1, method);
    for (const arg of args) writer.bytes(2, arg);
    if (target) writer.bytes(3, encodeTarget(target));
    if (wait !== 0) writer.uint(4, wait);
    if (timeoutMs !== 0) writer.uint(5, timeoutMs);
    return writer.finish();
  },
  decode(bytes) {
    let method = "";
    const args: Uint8Array[] = [];
    let target: RpcTarget | undefined;
    let wait = 0;
    let timeoutMs = 0;
    const reader = new WireReader(bytes);
    while (reader.next()) {
      if (reader.field === 1) method = reader.string();
      else if (reader.field === 2) addItem(args, reader.bytes());
      else if (reader.field === 3) target = readTarget(reader);
      else if (reader.field === 4) wait = reader.uint();
      else if (reader.field === 5) timeoutMs = reader.uint();
    }
    return { method, args, target, wait, timeoutMs };
  },
};

function encodeTarget({ all, node, connection, key }: RpcTarget): Buffer {
  const writer = new WireWriter(64);
  if (all !== undefined) writer.bytes(1, all);
  if (node !== undefined) writer.string(2, node);
  if (connection !== undefined) writer.string(3, connection);
  if (key !== undefined) writer.bytes(4, key);
  return writer.finish();
}

function readTarget(reader: WireReader): RpcTarget {
  let all: Uint8Array | undefined;
  let node: string | undefined;
  let connection: string | undefined;
  let key: Uint8Array | undefined;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === 1) all = reader.bytes();
    else if (reader.field === 2) node = reader.string();
    else if (reader.field === 3) connection = reader.string();
    else if (reader.field === 4) key = reader.bytes();
  }
  reader.leave(outer);
  return { all, node, connection, key };
}

export const runMethodRequest: MessageCodec<RunMethodRequest> = {
  encode({ method, args, caller, connectionId, slotPlusOne }) {
    const writer = new WireWriter().string(1, method);
    for (const arg of args) writer.bytes(2, arg);
    writer.string(3, caller);
    if (connectionId !== "") writer.string(4, connectionId);
    if (slotPlusOne !== 0) writer.uint(5, slotPlusOne);
    return writer.finish();
  },
  decode(bytes) {
    let method = "";
    const args: Uint8Array[] = [];
    let caller = "";
    let connectionId = "";
    let slotPlusOne = 0;
    const reader = new WireReader(bytes);
    while (reader.next()) {
      if (reader.field === 1) method = reader.string();
      else if (reader.field === 2) addItem(args, reader.bytes());
      else if (reader.field === 3) caller = reader.string();
      else if (reader.field === 4) connectionId = reader.string();
      else if (reader.field === 5) slotPlusOne = reader.uint();
    }
    return { method, args, caller, connectionId, slotPlusOne };
  },
};

/** Its fields are those of a RpcReply with a result, so that a node's answer goes to the caller as it came. */
export const runMethodResponse: MessageCodec<RunMethodResponse> = {
  encode({ result, node }) {
    const writer = new WireWriter(result.length + node.length + 32);
    if (node !== "") writer.string(1, node);
    return writer.bytes(2, result).finish();
  },
  decode(bytes) {
    let result = NO_BYTES;
    let node = "";
    const reader = new WireReader(bytes);
    while (reader.next()) {
      if (reader.field === 1) node = reader.string();
      else if (reader.field === 2) result = reader.bytes();
    }
    return { result, node };
  },
};

const faultMessage = message({ code: text(1), message: text(2) });

/** `gearmesh.v1.RpcReply`. */
export const rpcReply = message({ node: text(1), result: encoded(2), fault: nested(3, faultMessage) });
export type RpcReply = MessageOf<typeof rpcReply>;

/** Replies of one call: one for each node, of which a cluster has fewer. */
const MAX_REPLIES = 65_536;

/** `gearmesh.v1.RpcServiceCallResponse`. */
export const rpcCallResponse = message({ replies: list(1, rpcReply, MAX_REPLIES), nodes: uint(2) });

/** The same, of replies that are encoded. */
export function encodeRpcResponse(replies: readonly Uint8Array[], nodes: number): Buffer {
  const writer = new WireWriter(replies.reduce((size, reply) => size + reply.length + 12, 16));
  for (const reply of replies) writer.bytes(1, reply);
  return writer.uint(2, nodes).finish();
}
