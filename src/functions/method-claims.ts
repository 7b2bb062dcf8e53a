import { type Deadline, remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { LibrarySource, Registrations } from "./sandbox-port.ts";

interface Claim {
  readonly library: string;
  /** What it names, and how that is called. */
  readonly names: ReadonlySet<string>;
  readonly until: Deadline;
}

/** What only one library may have under a name. */
export type Claimable = "RPC method" | "task";

/**
 * Keeps two libraries from having an RPC method or a task of one name. What is served counts, and what is prepared: two loads at the same time both come by every
 * coordinator before either is committed, so that at one of them at least the later one finds the other's claim. It may be that each finds the other's.
 */
export class MethodClaims {
  readonly #isBuiltIn: (method: string) => boolean;
  /** The library that is served here with a method, or task, of this name. */
  readonly #served: (what: Claimable, name: string) => string | undefined;
  /** Of versions that are prepared and may come to be committed, by hash. */
  readonly #claims = new Map<string, Claim>();

  constructor(isBuiltIn: (method: string) => boolean, served: (what: Claimable, name: string) => string | undefined) {
    this.#isBuiltIn = isBuiltIn;
    this.#served = served;
  }

  /** `until`: when whoever loads the version has committed it or given up. Throws LIBRARY_REFUSED. */
  claim({ name: library, hash }: LibrarySource, { rpcMethods, tasks }: Registrations, until: Deadline): void {
    this.#forgetOverdue();
    const names = new Set<string>();
    const take = (what: Claimable, name: string): void => {
      this.#assertFree(what, name, library);
      names.add(`${what} ${name}`);
    };
    for (const method of rpcMethods) take("RPC method", method);
    for (const { name } of tasks) take("task", name);
    if (names.size > 0) this.#claims.set(hash, { library, names, until });
  }

  /** The version is committed, and served wherever it is newest. */
  release(hash: string): void {
    this.#claims.delete(hash);
  }

  #assertFree(what: Claimable, name: string, library: string): void {
    if (what === "RPC method" && this.#isBuiltIn(name)) {
      throw new Fault("LIBRARY_REFUSED", `RPC method ${name} is built in`);
    }
    const owner = this.#served(what, name);
    if (owner !== undefined && owner !== library) {
      throw new Fault("LIBRARY_REFUSED", `${what} ${name} already exists: library ${owner} registered it`);
    }
    for (const claim of this.#claims.values()) {
      if (claim.library === library || !claim.names.has(`${what} ${name}`)) continue;
      const text = `${what} ${name} is being registered by library ${claim.library}, which is loaded at the same time; try again once it is known whether that succeeds`;
      throw new Fault("LIBRARY_REFUSED", text);
    }
  }

  #forgetOverdue(): void {
    for (const [hash, { until }] of this.#claims) if (remainingMs(until) === 0) this.#claims.delete(hash);
  }
}
