import { Fault, isFaultCode } from "../base/fault.ts";
import { type JsonValue, payloadOf, payloadValue } from "../base/json-payload.ts";
import { type RpcReply as RpcReplyMessage, rpcCallRequest, rpcCallResponse } from "../rpc/rpc-codec.ts";
import { bytesOf } from "./call.ts";
import type { RepeatableOptions } from "./coordinators.ts";
import { armableTimeoutMs } from "./timeout.ts";

/** What crosses between nodes and clients: what JSON can say, or bytes. */
export type RpcValue = JsonValue | Uint8Array;

/** Where a method runs. */
export type RpcTarget =
  | "all"
  | { readonly node: string }
  /** The node that holds the connection; the connection itself where it has registered the method. */
  | { readonly connection: string }
  /** The node of the shard that owns the key. */
  | { readonly key: string | Uint8Array };

export interface RpcCallOptions extends RepeatableOptions {
  readonly args?: readonly unknown[];
  /** Default: all. */
  readonly target?: RpcTarget;
  /** What to wait for: nothing, the first result, or every node's reply. Default: all. */
  readonly wait?: "none" | "first" | "all";
}

/** What one node replied: a value, or the fault that it failed with. */
export type RpcReply =
  | { readonly node: string; readonly value: RpcValue; readonly fault?: undefined }
  | { readonly node: string; readonly fault: Fault };

const WAITS = { none: 1, first: 2, all: 3 } as const;

/** The encoded RpcServiceCallRequest. Throws INVALID_ARGUMENT. */
export function encodeRpcCall(method: string, options: RpcCallOptions): Buffer {
  const { args = [], target = "all", wait = "all", timeoutMs = 0 } = options;
  return rpcCallRequest.encode({
    method,
    args: args.map(payloadOf),
    target: {
      all: target === "all" ? new Uint8Array() : undefined,
      node: target !== "all" && "node" in target ? target.node : undefined,
      connection: target !== "all" && "connection" in target ? target.connection : undefined,
      key: target !== "all" && "key" in target ? bytesOf(target.key) : undefined,
    },
    wait: WAITS[wait],
    timeoutMs: Math.ceil(armableTimeoutMs(timeoutMs)),
  });
}

/** The replies of an encoded RpcServiceCallResponse. */
export function decodeRpcReplies(response: Uint8Array): readonly RpcReply[] {
  return rpcCallResponse.decode(response).replies.map(replyOf);
}

function replyOf({ node, result, fault }: RpcReplyMessage): RpcReply {
  if (!fault) return { node, value: result ? payloadValue(result) : null };
  return { node, fault: new Fault(isFaultCode(fault.code) ? fault.code : "INTERNAL", fault.message) };
}
