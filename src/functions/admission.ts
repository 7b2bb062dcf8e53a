import { Fault } from "../base/fault.ts";

export interface AdmissionLimits {
  /** Calls from outside that run here at once. */
  readonly maxCalls: number;
  /** Calls made from within calls that run here at once. */
  readonly maxNestedCalls: number;
  /** How deep calls may nest. */
  readonly maxCallDepth: number;
}

/**
 * Lets a run in or refuses it at once; nobody ever waits for a place. A nested call that waited for a place held by the
 * very calls that wait for it would never end: with a limit of 64, 128 chains of three hops stop for good. Nested calls have places of
 * their own, so that calls from outside cannot take the last one from a chain that is under way.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  #calls = 0;
  #nested = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /** Throws RESOURCE_EXHAUSTED; otherwise `leave` must be called with the same depth. */
  enter(depth: number): void {
    const { maxCalls, maxNestedCalls, maxCallDepth } = this.#limits;
    if (depth > maxCallDepth) {
      throw new Fault(
        "RESOURCE_EXHAUSTED",
        `calls are nested deeper than ${maxCallDepth}; raise maxCallDepth or end the recursion`,
      );
    }
    if (depth === 0 ? this.#calls >= maxCalls : this.#nested >= maxNestedCalls) {
      const [limit, name] = depth === 0 ? [maxCalls, "maxCalls"] : [maxNestedCalls, "maxNestedCalls"];
      throw new Fault("RESOURCE_EXHAUSTED", `${limit} calls run on this shard already (${name}); try again later`);
    }
    if (depth === 0) this.#calls++;
    else this.#nested++;
  }

  leave(depth: number): void {
    if (depth === 0) this.#calls--;
    else this.#nested--;
  }
}
