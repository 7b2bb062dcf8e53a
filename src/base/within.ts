import type { CallContext } from "./call-context.ts";
import { remainingMs } from "./deadline.ts";
import { Fault } from "./fault.ts";

/** What `work` comes to, if that is before the deadline. Rejects with DEADLINE_EXCEEDED or CANCELLED otherwise; the work goes on then, and nobody hears of it. */
export async function within<T>({ deadline, signal }: CallContext, work: Promise<T>): Promise<T> {
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(new Fault("CANCELLED", "the caller cancelled"));
  const timer = setTimeout(
    () => reject(new Fault("DEADLINE_EXCEEDED", "the deadline passed while it was worked on")),
    // A timer may come a millisecond early, and who is told that it is too late relies on that.
    Math.ceil(remainingMs(deadline)) + 1,
  );
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([work, ended]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
