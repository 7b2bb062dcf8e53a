import type { Deadline } from "../base/deadline.ts";
import type { FaultPoints } from "./fault-points.ts";
import type { LibraryRegistry } from "./library-registry.ts";
import type { LibraryVersion } from "./library-version.ts";
import { MethodClaims } from "./method-claims.ts";
import type { LibrarySource, Registrations, Sandbox } from "./sandbox-port.ts";

export interface LibraryShelfParts {
  readonly registry: LibraryRegistry;
  readonly sandbox: Sandbox;
  /** Whether the RPC method is every node's own: no library may register it. */
  readonly isBuiltIn: (method: string) => boolean;
  /** Throws LIBRARY_REFUSED for tasks that nobody could keep to. */
  readonly checkTasks: (tasks: Registrations["tasks"]) => void;
  /** How long a version that is no longer served stays callable: the longest deadline a call may have. Unit: ms. */
  readonly retentionMs: number;
  readonly faults: FaultPoints;
}

/** Brings versions into this coordinator's sandbox and registry, and takes them out once nobody can be running them. */
export class LibraryShelf {
  readonly #parts: LibraryShelfParts;
  readonly #claims: MethodClaims;
  /** By hash: one that is used again gets its whole time again. */
  readonly #retirements = new Map<string, NodeJS.Timeout>();

  constructor(parts: LibraryShelfParts) {
    this.#parts = parts;
    const { registry } = parts;
    this.#claims = new MethodClaims(parts.isBuiltIn, (what, name) => {
      const library = what === "task" ? registry.task(name)?.library : registry.method(name);
      return library?.source.name;
    });
  }

  /**
   * Compiles and registers a version without serving it. Rejects with LIBRARY_REFUSED. Forgotten again if nobody adopts it; until `until`, the load's
   * deadline, no other library gets its RPC methods.
   */
  async prepare(source: LibrarySource, until: Deadline): Promise<void> {
    const { faults, registry } = this.#parts;
    await faults.reached("prepare.before");
    const registrations = await this.#load(source);
    this.#parts.checkTasks(registrations.tasks);
    this.#claims.claim(source, registrations, until);
    registry.prepare(source, registrations);
    await faults.reached("prepare.compiled");
  }

  /** Serves a version, or a deletion, unless a newer one is served. */
  async adopt(version: LibraryVersion): Promise<void> {
    if (this.#parts.registry.wants(version)) await this.#serve(version);
    if (version.source) this.#claims.release(version.source.hash);
  }

  close(): void {
    for (const timer of this.#retirements.values()) clearTimeout(timer);
  }

  async #serve(version: LibraryVersion): Promise<void> {
    const { faults, registry } = this.#parts;
    await faults.reached("adopt.before");
    const registrations = version.source && (await this.#load(version.source));
    const replaced = registry.adopt(version, registrations);
    if (replaced) this.#retireLater(replaced.source.hash);
    await faults.reached("adopt.served");
  }

  /** Each version that is loaded is retired some time, whether it comes to be served or a newer one overtakes it. */
  async #load(source: LibrarySource): Promise<Registrations> {
    // Nobody retires it while it is being loaded.
    clearTimeout(this.#retirements.get(source.hash));
    try {
      return await this.#parts.sandbox.load(source);
    } finally {
      this.#retireLater(source.hash);
    }
  }

  #retireLater(hash: string): void {
    clearTimeout(this.#retirements.get(hash));
    const timer = setTimeout(() => {
      this.#retirements.delete(hash);
      if (this.#parts.registry.retire(hash)) this.#parts.sandbox.unload(hash);
    }, this.#parts.retentionMs);
    timer.unref();
    this.#retirements.set(hash, timer);
  }
}
