import type { Clock } from "../base/clock.ts";
import type { LeaseStore } from "./lease-store.ts";
import type { Leases } from "./leases.ts";

/** For so long a lease that was seen is taken to be there still. Unit: ms. */
const TRUST_MS = 5000;
/** Leases that are remembered to have been seen. */
const MAX_SEEN = 10_000;
/** Leases that may be looked at at once: beyond, the next who reads the key looks. */
const MAX_LOOKING = 1024;

export interface LeaseDoubtsParts {
  readonly store: Pick<LeaseStore, "isAlive">;
  readonly leases: Pick<Leases, "deleteKey" | "expire">;
  readonly clock: Clock;
}

/**
 * Finds keys that have outlived their lease: one that was written just when its lease ended, by a process that then died or stood still, or one whose lease was lost by a Redis that failed over. Whoever comes across a key with a
 * lease has that looked for, and does not wait for it.
 */
export class LeaseDoubts {
  readonly #parts: LeaseDoubtsParts;
  readonly #seenAtMs = new Map<string, number>();
  #looking = 0;

  constructor(parts: LeaseDoubtsParts) {
    this.#parts = parts;
  }

  /** Such a key was read. */
  read(key: string, leaseId: string): void {
    const seenAtMs = this.#seenAtMs.get(leaseId) ?? Number.NEGATIVE_INFINITY;
    if (this.#parts.clock.now() - seenAtMs >= TRUST_MS) this.written(key, leaseId);
  }

  /** Such a key was written: its lease may have ended meanwhile. */
  written(key: string, leaseId: string): void {
    if (this.#looking >= MAX_LOOKING) return;
    this.#looking++;
    this.#look(key, leaseId)
      // The next one looks again.
      .catch(() => undefined)
      .finally(() => this.#looking--);
  }

  async #look(key: string, leaseId: string): Promise<void> {
    const { store, leases, clock } = this.#parts;
    if (await store.isAlive(leaseId)) {
      if (this.#seenAtMs.size >= MAX_SEEN) this.#seenAtMs.clear();
      this.#seenAtMs.set(leaseId, clock.now());
      return;
    }
    await leases.expire(leaseId);
    await leases.deleteKey(leaseId, key);
  }
}
