import { Fault } from "../base/fault.ts";

/** No coordinator's maxCallTimeoutMs is longer than a day, and beyond 24 days the timers of gRPC overflow. Unit: ms. */
const MAX_TIMEOUT_MS = 24 * 60 * 60 * 1000;

/** The coordinator ends a call of a method at its time, and says so; only a coordinator that does not is not waited for any longer than this beyond it. Unit: ms. */
const PATIENCE_MS = 1000;

/** For a call that names its own time to the coordinator. */
export function withPatience<T extends { readonly timeoutMs?: number }>(options: T): T {
  return options.timeoutMs === undefined ? options : { ...options, timeoutMs: options.timeoutMs + PATIENCE_MS };
}

/** A timeout that can be armed, and sent in whole milliseconds. Throws INVALID_ARGUMENT for what is no time. */
export function armableTimeoutMs(timeoutMs: number): number {
  if (!(timeoutMs >= 0)) throw new Fault("INVALID_ARGUMENT", `timeoutMs is ${timeoutMs}, which is no time`);
  return Math.min(timeoutMs, MAX_TIMEOUT_MS);
}
