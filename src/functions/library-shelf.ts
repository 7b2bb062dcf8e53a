import type { LibraryRegistry } from "./library-registry.ts";
import type { LibraryVersion } from "./library-version.ts";
import type { LibrarySource, Sandbox } from "./sandbox-port.ts";

export interface LibraryShelfParts {
  readonly registry: LibraryRegistry;
  readonly sandbox: Sandbox;
  /** How long a version that is no longer served stays callable: the longest deadline a call may have. Unit: ms. */
  readonly retentionMs: number;
}

/** Brings versions into this coordinator's sandbox and registry, and takes them out once nobody can be running them. */
export class LibraryShelf {
  readonly #parts: LibraryShelfParts;
  readonly #retirements = new Set<NodeJS.Timeout>();

  constructor(parts: LibraryShelfParts) {
    this.#parts = parts;
  }

  /** Compiles and registers a version without serving it. Rejects with LIBRARY_REFUSED. Forgotten again if nobody adopts it. */
  async prepare(source: LibrarySource): Promise<void> {
    await this.#parts.sandbox.load(source);
    this.#retireLater(source.hash);
  }

  /** Serves a version, or a deletion, unless a newer one is served. */
  async adopt(version: LibraryVersion): Promise<void> {
    const { registry, sandbox } = this.#parts;
    if (!registry.wants(version)) return;
    const registrations = version.source && (await sandbox.load(version.source));
    const replaced = registry.adopt(version, registrations);
    if (replaced) this.#retireLater(replaced.source.hash);
  }

  close(): void {
    for (const timer of this.#retirements) clearTimeout(timer);
  }

  #retireLater(hash: string): void {
    const timer = setTimeout(() => {
      this.#retirements.delete(timer);
      if (this.#parts.registry.retire(hash)) this.#parts.sandbox.unload(hash);
    }, this.#parts.retentionMs);
    timer.unref();
    this.#retirements.add(timer);
  }
}
