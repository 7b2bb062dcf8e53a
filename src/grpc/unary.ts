import type { handleUnaryCall } from "@grpc/grpc-js";
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
      callback(null, await answer(call.request, contextOf(call, timeouts)));
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (fault.code === "INTERNAL") observer.bug(fault.cause ?? fault);
      callback(statusOf(fault));
    }
  };
}
