import type { ServerInterceptingCallInterface } from "@grpc/grpc-js";

/** What stands for the connection that a call came by, the same for all of its calls. It reaches into the call as `limitReceived` does, and fails at once where a release of grpc-js keeps it elsewhere. */
export function connectionOf(call: ServerInterceptingCallInterface): object {
  const stream: unknown = Reflect.get(call, "stream");
  if (typeof stream !== "object" || stream === null || !("session" in stream)) {
    throw new Error("this release of grpc-js keeps the stream of a call elsewhere");
  }
  // Gone already: then it is nobody's.
  return typeof stream.session === "object" && stream.session !== null ? stream.session : {};
}
