import type { ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { CallContext } from "../base/call-context.ts";
import type { Definitions } from "./definitions.ts";
import { passedThrough } from "./pass-through.ts";
import { type UnaryParts, unary } from "./unary.ts";

export interface RpcServiceParts extends UnaryParts {
  /** Takes an encoded RpcServiceCallRequest, resolves with the encoded response. */
  readonly call: (body: Uint8Array, context: CallContext) => Promise<Uint8Array>;
}

export function rpcServiceDefinition({ rpc }: Definitions): ServiceDefinition {
  return { Call: passedThrough(rpc.Call) };
}

export function rpcService(parts: RpcServiceParts): UntypedServiceImplementation {
  return { Call: unary<Uint8Array, Uint8Array>(parts, parts.call) };
}
