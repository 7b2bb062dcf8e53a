export interface BackoffLimits {
  /** First wait. Unit: ms. */
  readonly initialMs: number;
  /** Longest wait. Unit: ms. */
  readonly maxMs: number;
}

/**
 * The wait before attempt `attempt` (0 is the first retry): exponential, capped, with full jitter, so that
 * many coordinators that lost the same peer do not come back in step.
 */
export function backoffMs(attempt: number, limits: BackoffLimits, random: () => number = Math.random): number {
  const ceiling = Math.min(limits.maxMs, limits.initialMs * 2 ** Math.min(attempt, 30));
  return ceiling / 2 + (random() * ceiling) / 2;
}
