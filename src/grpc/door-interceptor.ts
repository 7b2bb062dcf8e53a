import {
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  type ServerMethodDefinition,
  status,
} from "@grpc/grpc-js";
import { monotonicMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { statusOf } from "./status.ts";
import type { TokenCheck } from "./token-check.ts";

/**
 * The only paths that need no token: kubelet and load balancers send none to health, and peers prove on the link itself
 * that they know the serverToken, without sending it.
 */
const OPEN_PATHS: ReadonlySet<string> = new Set([
  "/grpc.health.v1.Health/Check",
  "/grpc.health.v1.Health/Watch",
  "/gearmesh.v1.MeshService/Link",
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

/** What every gRPC call passes before it reaches its service: the token check, and the count of how it ended. */
export function doorInterceptor(tokens: TokenCheck, observer: RpcObserver): ServerInterceptor {
  return (method, call) => {
    const [, service = "", name = ""] = method.path.split("/");
    const rpc: RpcMethod = { type: typeOf(method), service, method: name };
    const startedMs = monotonicMs();
    observer.started(rpc);
    const responder = new ResponderBuilder().withStart((next) => {
      if (OPEN_PATHS.has(method.path)) return next();
      next(
        new ServerListenerBuilder()
          .withOnReceiveMetadata((metadata, proceed) => {
            if (tokens.accepts(metadata)) return proceed(metadata);
            observer.refused();
            guarded.sendStatus(
              statusOf(new Fault("UNAUTHENTICATED", "send the serverToken as `authorization: Bearer <token>`")),
            );
          })
          .build(),
      );
    });
    responder.withSendStatus((ended, next) => {
      const code = status[ended.code ?? status.UNKNOWN];
      observer.handled(rpc, code, (monotonicMs() - startedMs) / 1000);
      next(ended);
    });
    const guarded = new ServerInterceptingCall(call, responder.build());
    return guarded;
  };
}

function typeOf({ requestStream, responseStream }: ServerMethodDefinition<unknown, unknown>): RpcMethod["type"] {
  if (requestStream) return responseStream ? "bidi_stream" : "client_stream";
  return responseStream ? "server_stream" : "unary";
}
