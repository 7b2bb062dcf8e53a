import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  type ServerListener,
  ServerListenerBuilder,
  type ServerMethodDefinition,
  status,
} from "@grpc/grpc-js";
import { monotonicMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { INITIATOR_FRAMES, MAX_HANDSHAKE_FRAME_BYTES } from "../mesh/limits.ts";
import type { DoorAccess } from "./door-access.ts";
import { limitReceived } from "./receive-limit.ts";
import { refusalOf, statusOf } from "./status.ts";
import { sendableText } from "./status-text.ts";

/**
 * The only paths that need no token, each with how many of its first messages must be small, since whoever sends them has shown
 * nothing yet: kubelet and load balancers send no token to health, and peers prove on the link itself that they know the
 * serverToken, without sending it.
 */
const OPEN_PATHS: ReadonlyMap<string, number> = new Map([
  ["/grpc.health.v1.Health/Check", Number.POSITIVE_INFINITY],
  ["/grpc.health.v1.Health/Watch", Number.POSITIVE_INFINITY],
  ["/gearmesh.v1.MeshService/Link", INITIATOR_FRAMES],
]);

export interface RpcMethod {
  readonly type: "unary" | "client_stream" | "server_stream" | "bidi_stream";
  readonly service: string;
  /** `_OTHER`, and so the service, where there is none of that name: what a caller makes up must not become a label. */
  readonly method: string;
}

/** Told about every gRPC call, for the standard server metrics. */
export interface RpcObserver {
  started(method: RpcMethod): void;
  /** `code`: name of the gRPC status. */
  handled(method: RpcMethod, code: string, seconds: number): void;
}

export interface DoorParts {
  readonly access: DoorAccess;
  /** Largest message taken from who has shown a token. Unit: bytes. */
  readonly maxMessageBytes: number;
  readonly observer: RpcObserver;
}

/** What every gRPC call passes before it reaches its service: whether its caller may make it, and the count of how it ended. */
export function doorInterceptor({ access, maxMessageBytes, observer }: DoorParts): ServerInterceptor {
  return (method, call) => {
    const [, service = "", name = ""] = method.path.split("/");
    const rpc: RpcMethod = { type: typeOf(method), service, method: name };
    const startedMs = monotonicMs();
    let ended = false;
    let leave: (() => void) | undefined;
    const end = (code: string): void => {
      if (ended) return;
      ended = true;
      leave?.();
      observer.handled(rpc, code, (monotonicMs() - startedMs) / 1000);
    };
    observer.started(rpc);
    const guarded = new ServerInterceptingCall(call, {
      start(next) {
        // It comes after each end; before any, the caller is the one who ended it.
        const listener = new ServerListenerBuilder()
          .withOnCancel(() => end("CANCELLED"))
          .withOnReceiveMetadata(checkCaller);
        const small = OPEN_PATHS.get(method.path);
        if (small !== undefined) listener.withOnReceiveMessage(firstMessagesSmall(call, small, maxMessageBytes));
        next(listener.build());
      },
      sendStatus(sent, next) {
        end(status[sent.code ?? status.UNKNOWN]);
        next({ ...sent, ...(sent.details !== undefined && { details: sendableText(sent.details) }) });
      },
    });
    const checkCaller: MetadataListener = (metadata, proceed) => {
      try {
        leave = admitted(metadata);
      } catch (thrown) {
        return guarded.sendStatus(refusalOf(Fault.from(thrown)));
      }
      if (ended) leave?.();
      proceed(metadata);
    };
    const admitted = (metadata: Metadata): (() => void) | undefined => {
      access.checkSize(metadata);
      if (!OPEN_PATHS.has(method.path)) {
        const shown = access.checkToken(call, metadata, service, name);
        // One request and one answer end by themselves; a stream may outlive its token.
        const cutOff = (fault: Fault): void => guarded.sendStatus(statusOf(fault));
        return rpc.type === "unary" ? undefined : access.watch(shown, cutOff);
      }
      if (service === "gearmesh.v1.MeshService") access.checkPeer(call);
      return undefined;
    };
    return guarded;
  };
}

type MetadataListener = NonNullable<ServerListener["onReceiveMetadata"]>;
type MessageListener = NonNullable<ServerListener["onReceiveMessage"]>;

function firstMessagesSmall(
  call: ServerInterceptingCallInterface,
  count: number,
  maxMessageBytes: number,
): MessageListener {
  let left = count;
  limitReceived(call, MAX_HANDSHAKE_FRAME_BYTES);
  return (message, proceed) => {
    if (--left === 0) limitReceived(call, maxMessageBytes);
    proceed(message);
  };
}

function typeOf({ requestStream, responseStream }: ServerMethodDefinition<unknown, unknown>): RpcMethod["type"] {
  if (requestStream) return responseStream ? "bidi_stream" : "client_stream";
  return responseStream ? "server_stream" : "unary";
}
