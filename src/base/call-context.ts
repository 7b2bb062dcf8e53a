import { type Deadline, deadlineIn, earlier } from "./deadline.ts";
import type { RequestIdentity } from "./request-identity.ts";

/** What accompanies a call through every layer and across every link. */
export interface CallContext {
  readonly deadline: Deadline;
  /** Aborts when the caller cancelled, its link was lost, or the deadline passed. */
  readonly signal: CallSignal;
  /** How many calls this one is nested in: 0 for a call from outside. */
  readonly depth: number;
  /** Whose request it is, where its client or the door has named it. For the logs: nothing is decided by it. */
  readonly identity?: RequestIdentity | undefined;
  /** Whether the caller's token has the scope `admin`. What nobody outside has asked for has none. */
  readonly isAdmin?: boolean | undefined;
}

/**
 * As much of an AbortSignal as a call needs, so that any AbortSignal is one, and a call that came in a frame need not make one: that, with the
 * listeners on it, costs as much as the rest of the call's way through the coordinator.
 */
export interface CallSignal {
  readonly aborted: boolean;
  /** Why, once it is aborted. */
  readonly reason: unknown;
  /** `listener` is told once, when it aborts. */
  addEventListener(type: "abort", listener: AbortListener): void;
  removeEventListener(type: "abort", listener: AbortListener): void;
}

/** Of a call that nobody cancels. */
export const NEVER_ABORTED: CallSignal = {
  aborted: false,
  reason: undefined,
  addEventListener: () => undefined,
  removeEventListener: () => undefined,
};

export type AbortListener = (() => void) | { handleEvent(): void };

/** Of a call that is made for another one: it ends with that one, and after `timeoutMs` at the latest. */
export function nestedContext(context: CallContext, timeoutMs: number): CallContext {
  const { deadline, signal, depth, identity, isAdmin } = context;
  return { deadline: earlier(deadline, deadlineIn(timeoutMs)), signal, depth: depth + 1, identity, isAdmin };
}
