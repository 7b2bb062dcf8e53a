import { type Deadline, deadlineIn, earlier } from "./deadline.ts";

/** What accompanies a call through every layer and across every link. */
export interface CallContext {
  readonly deadline: Deadline;
  /** Aborts when the caller cancelled, its link was lost, or the deadline passed. */
  readonly signal: CallSignal;
  /** How many calls this one is nested in: 0 for a call from outside. */
  readonly depth: number;
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
export function nestedContext({ deadline, signal, depth }: CallContext, timeoutMs: number): CallContext {
  return { deadline: earlier(deadline, deadlineIn(timeoutMs)), signal, depth: depth + 1 };
}
