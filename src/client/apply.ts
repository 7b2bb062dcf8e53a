import { payloadOf, payloadValue } from "../base/json-payload.ts";
import { applyRequest, applyResponse, type ConnectionDetails as DetailsMessage } from "../connections/session-codec.ts";
import type { RpcValue } from "./rpc.ts";
import type { RpcOptions } from "./rpc-channel.ts";
import { armableTimeoutMs } from "./timeout.ts";

/** What is known of a connection. */
export interface ConnectionDetails {
  readonly id: string;
  readonly type: string;
  readonly fingerprint: string;
  readonly remoteIp: string;
  readonly remotePort: number;
  readonly connectedAt: Date;
  readonly rooms: readonly string[];
  /** Requests that the client has made on it, and as many as have not been answered. */
  readonly totalActions: number;
  readonly pendingActions: number;
  /** What was set. */
  readonly attributes: Readonly<Record<string, RpcValue>>;
  /** What the client itself keeps there. */
  readonly params: Readonly<Record<string, RpcValue>>;
  /** Name of the coordinator that holds it. */
  readonly node: string;
}

/** A connection after something was done with it. */
export interface Applied {
  readonly details: ConnectionDetails;
  /** What a method returned that the connection has registered; undefined after any other. */
  readonly value: RpcValue | undefined;
}

/** The encoded ApplyRequest. Throws INVALID_ARGUMENT. */
export function encodeApply(
  connectionId: string,
  method: string,
  args: readonly unknown[],
  { timeoutMs = 0 }: RpcOptions,
): Buffer {
  return applyRequest.encode({
    connectionId,
    method,
    args: args.map(payloadOf),
    timeoutMs: Math.ceil(armableTimeoutMs(timeoutMs)),
  });
}

/** Reads an encoded ApplyResponse. */
export function decodeApplied(response: Uint8Array): Applied {
  const { details, result } = applyResponse.decode(response);
  return { details: detailsOf(details), value: result && payloadValue(result) };
}

export function detailsOf(details: DetailsMessage | undefined): ConnectionDetails {
  if (!details) throw new Error("the coordinator sent no details");
  const { connectedAtMs, attributes, params, ...others } = details;
  return {
    ...others,
    connectedAt: new Date(connectedAtMs),
    attributes: valuesOf(attributes),
    params: valuesOf(params),
  };
}

function valuesOf(values: ReadonlyMap<string, Uint8Array>): Record<string, RpcValue> {
  return Object.fromEntries([...values].map(([key, payload]) => [key, payloadValue(payload)]));
}
