import { isIPv6 } from "node:net";
import { monotonicMs } from "../base/deadline.ts";

export interface FailureLimitParts {
  /** Failures that one address may have in a minute; so many at once, too. */
  readonly perMinute: number;
  /** Default: the monotonic clock. Unit: ms. */
  readonly now?: () => number;
}

/** Addresses that are remembered at once. */
const MAX_ADDRESSES = 4096;
/** Failures of all addresses together, as a multiple of those of one. */
const ALL_ADDRESSES = 10;

/** What is left of an allowance, and when it was. */
interface Allowance {
  left: number;
  atMs: number;
}

/**
 * Bounds how often callers may fail to authenticate: each address by itself, and all of them together. Whoever has used up what it may is refused before it is looked at what it
 * shows, right or wrong, until a part of a minute has given some back. Where all together have, those are refused that have failed lately: an address that has not is
 * still looked at, so that a flood from many does not keep it out, unless there are more of them than can be remembered.
 */
export class FailureLimit {
  readonly #perMinute: number;
  readonly #now: () => number;
  /** By who failed; who failed last comes last. */
  readonly #failed = new Map<string, Allowance>();
  readonly #all: Allowance;

  constructor({ perMinute, now = monotonicMs }: FailureLimitParts) {
    this.#perMinute = perMinute;
    this.#now = now;
    this.#all = { left: perMinute * ALL_ADDRESSES, atMs: now() };
  }

  /** `door`: failures at one door are none at another. `peer`: `host:port` as gRPC tells it. */
  admits(door: string, peer: string): boolean {
    const known = this.#failed.get(keyOf(door, peer));
    const hasAny = this.#refilled(this.#all, this.#perMinute * ALL_ADDRESSES).left >= 1;
    if (known === undefined) return hasAny || this.#failed.size < MAX_ADDRESSES;
    return hasAny && this.#refilled(known, this.#perMinute).left >= 1;
  }

  failedAt(door: string, peer: string): void {
    take(this.#refilled(this.#all, this.#perMinute * ALL_ADDRESSES));
    const key = keyOf(door, peer);
    const known = this.#failed.get(key);
    const allowance = known ? this.#refilled(known, this.#perMinute) : { left: this.#perMinute, atMs: this.#now() };
    this.#failed.delete(key);
    if (known === undefined && !this.#hasRoom()) return;
    take(allowance);
    this.#failed.set(key, allowance);
  }

  /** Addresses that failed lately. */
  get size(): number {
    return this.#failed.size;
  }

  /** Who failed longest ago is forgotten once a minute has given back all that it may have used. */
  #hasRoom(): boolean {
    for (const [key, { atMs }] of this.#failed) {
      if (this.#now() - atMs < MINUTE_MS) break;
      this.#failed.delete(key);
    }
    return this.#failed.size < MAX_ADDRESSES;
  }

  #refilled(allowance: Allowance, most: number): Allowance {
    const nowMs = this.#now();
    allowance.left = Math.min(most, allowance.left + ((nowMs - allowance.atMs) / MINUTE_MS) * most);
    allowance.atMs = nowMs;
    return allowance;
  }
}

const MINUTE_MS = 60_000;

function take(allowance: Allowance): void {
  allowance.left = Math.max(0, allowance.left - 1);
}

/** Whoever has one IPv6 address has a whole /64 of them. */
function keyOf(door: string, peer: string): string {
  const host = peer.slice(0, peer.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  const mapped = host.replace(/^::ffff:(?=\d+\.)/i, "");
  return `${door} ${isIPv6(mapped) ? networkOf(mapped) : mapped}`;
}

function networkOf(ipv6: string): string {
  const [head = "", tail] = ipv6.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...Array.from({ length: zeros }, () => "0"), ...after].slice(0, 4).join(":");
}
