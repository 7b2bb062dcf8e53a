import type { handleBidiStreamingCall } from "@grpc/grpc-js";
import type { RequestIdentity } from "../base/request-identity.ts";
import type { FrameStream } from "../mesh/frame-stream.ts";
import { frameHandler } from "./link-service.ts";
import { givenIdentityOf } from "./request-identity.ts";
import type { UnaryParts } from "./unary.ts";

/** Who opened a stream, as the door knows it: whatever is asked for on the stream, this caller asks for. */
export interface StreamCaller {
  /** By which its client has named the stream; undefined: it has not. */
  readonly identity: RequestIdentity | undefined;
  /** Whether the token has the scope `admin`. */
  readonly isAdmin: boolean;
}

/** As `frameHandler`, for the streams of clients. */
export function clientFrameHandler(
  { isAdmin }: Pick<UnaryParts, "isAdmin">,
  accept: (stream: FrameStream, caller: StreamCaller) => void,
): handleBidiStreamingCall<Uint8Array, Uint8Array> {
  return frameHandler((stream, { metadata }) =>
    accept(stream, { identity: givenIdentityOf(metadata), isAdmin: isAdmin(metadata) }),
  );
}
