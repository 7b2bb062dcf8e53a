import { Fault } from "../base/fault.ts";

/** Shortest and longest lifetime of a lease. Unit: ms. */
export const MIN_TTL_MS = 1000;
export const MAX_TTL_MS = 30 * 24 * 60 * 60 * 1000;

/** Throws INVALID_ARGUMENT for what is no lifetime of a lease. */
export function checkTtl(ttlMs: number): void {
  if (Number.isInteger(ttlMs) && ttlMs >= MIN_TTL_MS && ttlMs <= MAX_TTL_MS) return;
  const text = `a lease lasts for a whole number of milliseconds from ${MIN_TTL_MS} to ${MAX_TTL_MS}, and not ${ttlMs}`;
  throw new Fault("INVALID_ARGUMENT", text);
}

export function unknownLease(): Fault {
  return new Fault("UNKNOWN_LEASE", "there is no such lease, or it is over: grant another one");
}
