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

export type GrpcType = "unary" | "client_stream" | "server_stream" | "bidi_stream";

/** Told about every gRPC call, for the standard server metrics. */
export interface GrpcObserver {
  started(service: string, method: string, type: GrpcType): void;
  handled(service: string, method: string, type: GrpcType, code: string, seconds: number): void;
  authFailed(): void;
}

/** What every gRPC call passes before it reaches its service: the token check, and the count of how it ended. */
export function doorInterceptor(tokens: TokenCheck, observer: GrpcObserver): ServerInterceptor {
  return (method, call) => {
    const [, service = "", name = ""] = method.path.split("/");
    const type = typeOf(method);
    const startedMs = monotonicMs();
    observer.started(service, name, type);
    const responder = new ResponderBuilder().withStart((next) => {
      if (OPEN_PATHS.has(method.path)) return next();
      next(
        new ServerListenerBuilder()
          .withOnReceiveMetadata((metadata, proceed) => {
            if (tokens.accepts(metadata)) return proceed(metadata);
            observer.authFailed();
            guarded.sendStatus(
              statusOf(new Fault("UNAUTHENTICATED", "send the serverToken as `authorization: Bearer <token>`")),
            );
          })
          .build(),
      );
    });
    responder.withSendStatus((ended, next) => {
      const code = status[ended.code ?? status.UNKNOWN];
      observer.handled(service, name, type, code, (monotonicMs() - startedMs) / 1000);
      next(ended);
    });
    const guarded = new ServerInterceptingCall(call, responder.build());
    return guarded;
  };
}

function typeOf({ requestStream, responseStream }: ServerMethodDefinition<unknown, unknown>): GrpcType {
  if (requestStream) return responseStream ? "bidi_stream" : "client_stream";
  return responseStream ? "server_stream" : "unary";
}
