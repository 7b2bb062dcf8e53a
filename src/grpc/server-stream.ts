import type { handleServerStreamingCall, ServerWritableStream } from "@grpc/grpc-js";
import type { CallContext } from "../base/call-context.ts";
import { Fault, type FaultCode } from "../base/fault.ts";
import { arrivalOf } from "./arrival.ts";
import { statusOf } from "./status.ts";
import type { UnaryParts } from "./unary.ts";

/** A client that has not read for so long is taken for dead: what is kept for it is given up. Unit: ms. */
const STALL_TIMEOUT_MS = 5 * 60_000;

/** What a method with a stream of responses comes to: encoded responses, as fast as the client reads them. Ends where the context's signal aborts; `return` is called where nobody reads on. */
export type StreamAnswer = (request: Uint8Array, context: CallContext) => AsyncIterable<Uint8Array>;

/** A method with a stream of responses: whatever making them rejects with becomes a status with its code. */
export function serverStream(
  parts: UnaryParts,
  answer: StreamAnswer,
): handleServerStreamingCall<Uint8Array, Uint8Array> {
  const { observer, scope } = parts;
  return (call) => {
    const { context, identity, span } = arrivalOf(parts, call);
    return scope.run(identity, async () => {
      let code: FaultCode | "OK" = "OK";
      try {
        for await (const response of answer(call.request, context)) {
          if (context.signal.aborted) return;
          if (!call.write(response)) await readable(call);
        }
        call.end();
      } catch (thrown) {
        const fault = Fault.from(thrown);
        code = fault.code;
        if (fault.code === "INTERNAL") observer.bug(fault.cause ?? fault);
        // How grpc-js sends a status other than OK; where the client has gone, nobody hears it.
        call.emit("error", statusOf(fault));
      } finally {
        span?.end(context.signal.aborted ? "CANCELLED" : code);
      }
    });
  };
}

/** Resolves once the client has read on, or is gone. Rejects with DEADLINE_EXCEEDED where it does neither. */
function readable(call: ServerWritableStream<Uint8Array, Uint8Array>): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (call.cancelled) resolve();
  const stalled = new Fault("DEADLINE_EXCEEDED", `the client has not read for ${STALL_TIMEOUT_MS} ms`);
  const timer = setTimeout(() => reject(stalled), STALL_TIMEOUT_MS);
  call.once("drain", resolve);
  call.once("cancelled", resolve);
  return promise.finally(() => {
    clearTimeout(timer);
    call.off("drain", resolve);
    call.off("cancelled", resolve);
  });
}
