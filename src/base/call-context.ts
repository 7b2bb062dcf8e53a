import type { Deadline } from "./deadline.ts";

/** What accompanies a call through every layer and across every link. */
export interface CallContext {
  readonly deadline: Deadline;
  /** Aborts when the caller cancelled, its link was lost, or the deadline passed. */
  readonly signal: AbortSignal;
  /** How many calls this one is nested in: 0 for a call from outside. */
  readonly depth: number;
}
