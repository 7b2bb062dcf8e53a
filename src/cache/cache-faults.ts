import { Buffer } from "node:buffer";
import { Fault } from "../base/fault.ts";

/** Longest key, and longest pattern. Unit: bytes of UTF-8. */
const MAX_KEY_BYTES = 1024;
const MAX_HOLDER_BYTES = 256;
const YEAR_MS = 365 * 24 * 3600 * 1000;
const MAX_LIFETIME_MS = 100 * YEAR_MS;
const MAX_LOCK_MS = 24 * 3600 * 1000;

/** Throws INVALID_ARGUMENT for what cannot be a key. */
export function checkKey(key: string): void {
  if (key === "") throw new Fault("INVALID_ARGUMENT", "a key is required");
  checkText("a key", key, MAX_KEY_BYTES);
}

export function checkPattern(pattern: string): void {
  checkText("a pattern", pattern, MAX_KEY_BYTES);
}

/** An empty one stands for the node. */
export function checkHolder(holder: string): void {
  checkText("a holder", holder, MAX_HOLDER_BYTES);
}

/** Throws INVALID_ARGUMENT for what is no time to live: undefined is none. */
export function checkLifetime(lifetimeMs: number | undefined): void {
  checkTime("a lifetime", lifetimeMs, MAX_LIFETIME_MS);
}

export function checkLockTime(lockMs: number | undefined): void {
  checkTime("a lock's time", lockMs, MAX_LOCK_MS);
}

export function objectNotFound(): Fault {
  return new Fault("OBJECT_NOT_FOUND", "Object not found");
}

export function objectLocked(): Fault {
  return new Fault("OBJECT_LOCKED", "Object locked");
}

export function lockLost(): Fault {
  return new Fault("LOCK_LOST", "the lock was lost: it has expired, or was given back");
}

function checkText(what: string, text: string, maxBytes: number): void {
  if (Buffer.byteLength(text) <= maxBytes && text.isWellFormed()) return;
  throw new Fault("INVALID_ARGUMENT", `${what} is text of ${maxBytes} bytes of UTF-8 at most`);
}

function checkTime(what: string, ms: number | undefined, maxMs: number): void {
  if (ms === undefined || (Number.isInteger(ms) && ms >= 1 && ms <= maxMs)) return;
  throw new Fault("INVALID_ARGUMENT", `${what} of ${ms} ms is none: it is a whole number of ms from 1 to ${maxMs}`);
}
