import { backoffMs } from "./backoff.ts";
import type { CallContext } from "./call-context.ts";
import { remainingMs } from "./deadline.ts";

/** Between attempts at what does not settle: coordinators learn of a change one after the other. */
const PAUSE = { initialMs: 5, maxMs: 200 };

/** Resolves with true once the next attempt may begin, and with false at once where the call would be over by then. `isImmediate`: without a pause. */
export async function nextAttempt(
  { deadline, signal }: CallContext,
  attempt: number,
  isImmediate = false,
): Promise<boolean> {
  const pauseMs = isImmediate ? 0 : backoffMs(attempt, PAUSE);
  if (signal.aborted || remainingMs(deadline) <= pauseMs) return false;
  if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
  return true;
}
