import type { Clock } from "../base/clock.ts";
import { coalesce } from "../base/coalesce.ts";
import type { LeaseStore } from "./lease-store.ts";
import type { Leases } from "./leases.ts";

/** How often it is looked for leases that are over. Unit: ms. */
const PERIOD_MS = 1000;

export interface LeaseSweepParts {
  readonly store: Pick<LeaseStore, "takeDue">;
  readonly leases: Pick<Leases, "expire">;
  readonly clock: Clock;
  /** Told why a lease that may be over could not be looked at, or its keys not be deleted. It is tried again. */
  readonly failed: (cause: unknown) => void;
}

/** Ends the leases of the deployment whose time is over. Every coordinator does so; each lease is given to one of them, and to another one where that does not get through with it. */
export class LeaseSweep {
  readonly #parts: LeaseSweepParts;
  readonly #sweep = coalesce(() => this.#round());
  #known = 0;
  #stop: (() => void) | undefined;

  constructor(parts: LeaseSweepParts) {
    this.#parts = parts;
  }

  /** Leases of the deployment, as they were counted last. */
  get known(): number {
    return this.#known;
  }

  start(): void {
    this.#stop = this.#parts.clock.every(PERIOD_MS, () => void this.#sweep());
  }

  stop(): void {
    this.#stop?.();
  }

  async #round(): Promise<void> {
    const { store, leases, failed } = this.#parts;
    const { ids, known } = await store.takeDue();
    this.#known = known;
    await Promise.all(ids.map((id) => leases.expire(id).catch(failed)));
  }
}
