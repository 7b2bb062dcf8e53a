import { type Deadline, remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { LibrarySource, Registrations } from "./sandbox-port.ts";

interface Claim {
  readonly library: string;
  readonly methods: ReadonlySet<string>;
  readonly until: Deadline;
}

/**
 * Keeps two libraries from having an RPC method of one name. What is served counts, and what is prepared: two loads at the same time both come by every
 * coordinator before either is committed, so that at one of them at least the later one finds the other's claim. It may be that each finds the other's.
 */
export class MethodClaims {
  readonly #isBuiltIn: (method: string) => boolean;
  /** The library that is served here with a method of this name. */
  readonly #served: (method: string) => string | undefined;
  /** Of versions that are prepared and may come to be committed, by hash. */
  readonly #claims = new Map<string, Claim>();

  constructor(isBuiltIn: (method: string) => boolean, served: (method: string) => string | undefined) {
    this.#isBuiltIn = isBuiltIn;
    this.#served = served;
  }

  /** `until`: when whoever loads the version has committed it or given up. Throws LIBRARY_REFUSED. */
  claim({ name: library, hash }: LibrarySource, { rpcMethods }: Registrations, until: Deadline): void {
    this.#forgetOverdue();
    for (const method of rpcMethods) this.#assertFree(method, library);
    if (rpcMethods.length > 0) this.#claims.set(hash, { library, methods: new Set(rpcMethods), until });
  }

  /** The version is committed, and served wherever it is newest. */
  release(hash: string): void {
    this.#claims.delete(hash);
  }

  #assertFree(method: string, library: string): void {
    if (this.#isBuiltIn(method)) throw new Fault("LIBRARY_REFUSED", `RPC method ${method} is built in`);
    const owner = this.#served(method);
    if (owner !== undefined && owner !== library) {
      throw new Fault("LIBRARY_REFUSED", `RPC method ${method} already exists: library ${owner} registered it`);
    }
    for (const claim of this.#claims.values()) {
      if (claim.library === library || !claim.methods.has(method)) continue;
      const text = `RPC method ${method} is being registered by library ${claim.library}, which is loaded at the same time; try again once it is known whether that succeeds`;
      throw new Fault("LIBRARY_REFUSED", text);
    }
  }

  #forgetOverdue(): void {
    for (const [hash, { until }] of this.#claims) if (remainingMs(until) === 0) this.#claims.delete(hash);
  }
}
