import type { ServerUnaryCall } from "@grpc/grpc-js";
import type { CallContext } from "../base/call-context.ts";
import type { RequestIdentity } from "../base/request-identity.ts";
import type { Span } from "../base/spans.ts";
import { contextOf } from "./call-context.ts";
import { identityOf } from "./request-identity.ts";
import type { UnaryParts } from "./unary.ts";

/** A client's gRPC call, as it begins here. */
export interface Arrival {
  readonly context: CallContext;
  /** By which the logs name it. */
  readonly identity: RequestIdentity;
  /** To be ended by whoever answers it; undefined while nobody wants spans. */
  readonly span: Span | undefined;
}

/** Names the call, begins its span, and takes from it what accompanies it from here on. */
export function arrivalOf(
  { timeouts, spans, isAdmin }: Pick<UnaryParts, "timeouts" | "spans" | "isAdmin">,
  call: Pick<ServerUnaryCall<unknown, unknown>, "metadata" | "getPath" | "getDeadline" | "once">,
): Arrival {
  const named = identityOf(call.metadata);
  const span = spans?.begin(call.getPath().slice(1), "server", named);
  const identity = span?.identity ?? named;
  return { context: { ...contextOf(call, timeouts), identity, isAdmin: isAdmin(call.metadata) }, identity, span };
}
