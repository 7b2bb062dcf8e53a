/**
 * A point on this process's monotonic clock, in milliseconds. It never travels: what goes over a wire is the
 * time that remains, because two machines share no clock.
 */
export type Deadline = number & { readonly __brand: "Deadline" };

/** Milliseconds on the monotonic clock, the only clock that deadlines and leases are measured by. */
export function monotonicMs(): number {
  return performance.now();
}

export function deadlineIn(ms: number, now = monotonicMs()): Deadline {
  return (now + ms) as Deadline;
}

/** Milliseconds left, never negative. */
export function remainingMs(deadline: Deadline, now = monotonicMs()): number {
  return Math.max(0, deadline - now);
}

export function earlier(a: Deadline, b: Deadline): Deadline {
  return a < b ? a : b;
}
