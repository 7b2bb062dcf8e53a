import {
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
import { limitReceived } from "./receive-limit.ts";
import { statusOf } from "./status.ts";
import { sendableText } from "./status-text.ts";
import type { TokenCheck } from "./token-check.ts";

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
  readonly method: string;
}

/** Told about every gRPC call, for the standard server metrics. */
export interface RpcObserver {
  started(method: RpcMethod): void;
  /** `code`: name of the gRPC status. */
  handled(method: RpcMethod, code: string, seconds: number): void;
  /** A call came without a valid token. */
  refused(): void;
}

export interface DoorParts {
  readonly tokens: TokenCheck;
  /** Largest message taken from who has shown a token. Unit: bytes. */
  readonly maxMessageBytes: number;
  readonly observer: RpcObserver;
}

/** What every gRPC call passes before it reaches its service: the token check, and the count of how it ended. */
export function doorInterceptor({ tokens, maxMessageBytes, observer }: DoorParts): ServerInterceptor {
  return (method, call) => {
    const [, service = "", name = ""] = method.path.split("/");
    const rpc: RpcMethod = { type: typeOf(method), service, method: name };
    const startedMs = monotonicMs();
    let ended = false;
    const end = (code: string): void => {
      if (ended) return;
      ended = true;
      observer.handled(rpc, code, (monotonicMs() - startedMs) / 1000);
    };
    observer.started(rpc);
    const guarded = new ServerInterceptingCall(call, {
      start(next) {
        // It comes after each end; before any, the caller is the one who ended it.
        const listener = new ServerListenerBuilder().withOnCancel(() => end("CANCELLED"));
        const small = OPEN_PATHS.get(method.path);
        if (small === undefined) listener.withOnReceiveMetadata(checkToken);
        else listener.withOnReceiveMessage(firstMessagesSmall(call, small, maxMessageBytes));
        next(listener.build());
      },
      sendStatus(sent, next) {
        end(status[sent.code ?? status.UNKNOWN]);
        next({ ...sent, ...(sent.details !== undefined && { details: sendableText(sent.details) }) });
      },
    });
    const checkToken: MetadataListener = (metadata, proceed) => {
      if (tokens.accepts(metadata)) return proceed(metadata);
      observer.refused();
      guarded.sendStatus(
        statusOf(new Fault("UNAUTHENTICATED", "send the serverToken as `authorization: Bearer <token>`")),
      );
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
