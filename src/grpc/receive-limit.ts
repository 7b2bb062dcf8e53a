import type { ServerInterceptingCallInterface } from "@grpc/grpc-js";

/**
 * Sets the largest message that one call takes from now on. grpc-js has a single limit for all calls of a server, and gathers a
 * message up to it before anyone has shown a token; so this reaches into the call, and fails at once where a release of grpc-js
 * keeps it elsewhere.
 */
export function limitReceived(call: ServerInterceptingCallInterface, maxBytes: number): void {
  const decoder: unknown = Reflect.get(call, "decoder");
  if (typeof decoder !== "object" || decoder === null || !("maxReadMessageLength" in decoder)) {
    throw new Error("this release of grpc-js keeps the limit of a call elsewhere");
  }
  decoder.maxReadMessageLength = maxBytes;
  // What a compressed message may become.
  Reflect.set(call, "maxReceiveMessageSize", maxBytes);
}
