import type { handleUnaryCall, Metadata, ServiceDefinition } from "@grpc/grpc-js";
import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import type { RequestScope } from "../base/request-scope.ts";
import type { Spans } from "../base/spans.ts";
import { arrivalOf } from "./arrival.ts";
import type { CallTimeouts } from "./call-context.ts";
import { REQUEST_ID } from "./request-identity.ts";
import { statusOf } from "./status.ts";

/** Told the cause of a fault that callers only see as "internal error". */
export interface BugObserver {
  bug(cause: unknown): void;
}

export interface UnaryParts {
  readonly timeouts: CallTimeouts;
  readonly observer: BugObserver;
  readonly scope: RequestScope;
  readonly spans?: Spans;
  /** Whether the call with this metadata was let in by a token with the scope `admin`. */
  readonly isAdmin: (metadata: Metadata) => boolean;
}

/** A unary method from a function that answers or rejects: whatever it rejects with becomes a status with its code. */
export function unary<Request, Response>(
  parts: UnaryParts,
  answer: (request: Request, context: CallContext) => Promise<Response> | Response,
): handleUnaryCall<Request, Response> {
  const { observer, scope } = parts;
  return (call, callback) => {
    const { context, identity, span } = arrivalOf(parts, call);
    return scope.run(identity, async () => {
      try {
        if (call.request instanceof Fault) throw call.request;
        callback(null, await answer(call.request, context));
        span?.end("OK");
      } catch (thrown) {
        const fault = Fault.from(thrown);
        const status = statusOf(fault);
        if (fault.code === "INTERNAL") {
          observer.bug(fault.cause ?? fault);
          // So that who reports it can name the line of the log.
          status.metadata?.set(REQUEST_ID, identity.requestId);
        }
        callback(status);
        span?.end(fault.code);
      }
    });
  };
}

/**
 * The service with requests that cannot be decoded as Faults, which `unary` throws: grpc-js would answer INTERNAL for them, which is
 * said of our bugs alone.
 */
export function withMalformedAsFaults(service: ServiceDefinition): ServiceDefinition {
  const tolerant = Object.entries(service).map(([name, method]) => {
    const requestDeserialize = (bytes: Buffer): unknown => {
      try {
        return method.requestDeserialize(bytes);
      } catch (cause) {
        return new Fault("INVALID_ARGUMENT", `the request is no ${name}Request as proto/ describes it`, { cause });
      }
    };
    return [name, { ...method, requestDeserialize }] as const;
  });
  return Object.fromEntries(tolerant);
}
