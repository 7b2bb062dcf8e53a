import type { ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { CallContext } from "../base/call-context.ts";
import type { FrameStream } from "../mesh/frame-stream.ts";
import type { Definitions } from "./definitions.ts";
import { OPEN_METHOD } from "./frame-methods.ts";
import { passedThrough } from "./pass-through.ts";
import { clientFrameHandler, type StreamCaller } from "./stream-caller.ts";
import { type UnaryParts, unary } from "./unary.ts";

export interface ConnectionServiceParts extends UnaryParts {
  /** Takes the stream of a client whose token has been checked. */
  readonly open: (stream: FrameStream, caller: StreamCaller) => void;
  /** Takes an encoded ApplyRequest, resolves with the encoded response. */
  readonly apply: (body: Uint8Array, context: CallContext) => Promise<Uint8Array>;
}

export function connectionServiceDefinition({ connections }: Definitions): ServiceDefinition {
  return { Open: OPEN_METHOD, Apply: passedThrough(connections.Apply) };
}

export function connectionService(parts: ConnectionServiceParts): UntypedServiceImplementation {
  return { Open: clientFrameHandler(parts, parts.open), Apply: unary<Uint8Array, Uint8Array>(parts, parts.apply) };
}
