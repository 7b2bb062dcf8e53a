import type { handleUnaryCall, ServiceDefinition } from "@grpc/grpc-js";
import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { type CallTimeouts, contextOf } from "./call-context.ts";
import { statusOf } from "./status.ts";

/** Told the cause of a fault that callers only see as "internal error". */
export interface BugObserver {
  bug(cause: unknown): void;
}

export interface UnaryParts {
  readonly timeouts: CallTimeouts;
  readonly observer: BugObserver;
}

/** A unary method from a function that answers or rejects: whatever it rejects with becomes a status with its code. */
export function unary<Request, Response>(
  { timeouts, observer }: UnaryParts,
  answer: (request: Request, context: CallContext) => Promise<Response> | Response,
): handleUnaryCall<Request, Response> {
  return async (call, callback) => {
    try {
      if (call.request instanceof Fault) throw call.request;
      callback(null, await answer(call.request, contextOf(call, timeouts)));
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (fault.code === "INTERNAL") observer.bug(fault.cause ?? fault);
      callback(statusOf(fault));
    }
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
