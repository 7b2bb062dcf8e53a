import type { CallContext } from "../base/call-context.ts";
import { monotonicMs } from "../base/deadline.ts";
import { Fault, type FaultCode } from "../base/fault.ts";
import { within } from "../base/within.ts";
import type { StorageObserver } from "./storage-observer.ts";
import type { StorageHandler } from "./storage-requests.ts";

/** The same handler; it ends at the deadline, or where the caller cancels, and is counted. What was sent to Redis by then goes on. */
export function observedRequest(method: string, handler: StorageHandler, observer: StorageObserver): StorageHandler {
  return async (body, context) => {
    const ended = stopwatch(method, observer);
    try {
      const response = await within(context, handler(body, context));
      ended("OK");
      return response;
    } catch (thrown) {
      ended(Fault.from(thrown).code);
      throw thrown;
    }
  };
}

/** The same for responses that are made one after the other. */
export async function* observedResponses(
  method: string,
  responses: AsyncGenerator<Uint8Array, void, undefined>,
  context: CallContext,
  observer: StorageObserver,
): AsyncGenerator<Uint8Array, void, undefined> {
  const ended = stopwatch(method, observer);
  let code: FaultCode | "OK" = "OK";
  try {
    for (;;) {
      const next = await within(context, responses.next());
      if (next.done) return;
      yield next.value;
    }
  } catch (thrown) {
    code = Fault.from(thrown).code;
    throw thrown;
  } finally {
    ended(code);
    // It may be in the midst of a step that never ends: nobody waits for that.
    responses.return().catch(() => undefined);
  }
}

function stopwatch(method: string, observer: StorageObserver): (code: FaultCode | "OK") => void {
  const startedAtMs = monotonicMs();
  return (code) => observer.ended(method, code, (monotonicMs() - startedAtMs) / 1000);
}
