import { setTimeout as delay } from "node:timers/promises";

const POLL_MS = 20;

export interface EventuallyOptions {
  /** What is waited for, to name it when it does not come. */
  readonly what: string;
  /** Unit: ms. Default: a minute, for machines that have other things to do. */
  readonly deadlineMs?: number;
}

/**
 * Asks until `condition` gives something truthy, and resolves with that. A condition that throws is asked again; the last error is
 * the cause of the failure at the deadline.
 */
export async function eventually<T>(
  condition: () => T | Promise<T>,
  { what, deadlineMs = 60_000 }: EventuallyOptions,
): Promise<T> {
  const giveUpAt = performance.now() + deadlineMs;
  for (;;) {
    let cause: unknown;
    try {
      const found = await condition();
      if (found) return found;
      cause = found;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > giveUpAt) throw new Error(`within ${deadlineMs} ms there was no: ${what}`, { cause });
    await delay(POLL_MS);
  }
}
