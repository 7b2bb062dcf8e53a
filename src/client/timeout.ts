import { Fault } from "../base/fault.ts";

/** No coordinator's maxCallTimeoutMs is longer than a day, and beyond 24 days the timers of gRPC overflow. Unit: ms. */
const MAX_TIMEOUT_MS = 24 * 60 * 60 * 1000;

/** A timeout that can be armed and sent. Throws INVALID_ARGUMENT for what is no number. */
export function armableTimeoutMs(timeoutMs: number): number {
  if (Number.isNaN(timeoutMs)) throw new Fault("INVALID_ARGUMENT", "timeoutMs is not a number");
  return Math.min(timeoutMs, MAX_TIMEOUT_MS);
}
