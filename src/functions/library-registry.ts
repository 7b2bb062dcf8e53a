import { headOf, isNewer, type LibraryVersion } from "./library-version.ts";
import { LibraryCounters } from "./run-counters.ts";
import type { FunctionInfo, LibrarySource, Registrations } from "./sandbox-port.ts";
import type { TaskRegistration, TaskStage } from "./task-registration.ts";

/** A library's text that runs that name its hash can be given to. */
export interface PinnedLibrary {
  readonly source: LibrarySource;
  readonly registrations: Registrations;
  /** Of this version, since it was adopted. */
  readonly counters: LibraryCounters;
}

/** A library as it is served here. */
export interface ServedLibrary extends PinnedLibrary {
  readonly version: LibraryVersion;
}

/** One function that can be called from outside. */
export interface ServedFunction {
  readonly info: FunctionInfo;
  readonly library: ServedLibrary;
}

/** One task that can be enqueued. */
export interface ServedTask {
  readonly info: TaskRegistration;
  readonly library: ServedLibrary;
}

/**
 * Which libraries this coordinator serves. New calls get the newest version; a call that began on another one, here or on
 * another shard, still finds it by its hash until it is retired.
 */
export class LibraryRegistry {
  /** The newest version of each name, deletions included, so that a late message cannot bring a deleted library back. */
  readonly #newest = new Map<string, LibraryVersion>();
  readonly #served = new Map<string, ServedLibrary>();
  /** By `library.function`, so that a call costs one look-up. */
  readonly #functions = new Map<string, ServedFunction>();
  /** By RPC method. */
  readonly #methods = new Map<string, ServedLibrary>();
  readonly #tasks = new Map<string, ServedTask>();
  readonly #middleware = new Map<
    TaskStage,
    { readonly library: ServedLibrary; readonly tasks: ReadonlySet<string> }[]
  >();
  readonly #byHash = new Map<string, PinnedLibrary>();
  /** Loaded, and not known to be committed. */
  readonly #prepared = new Map<string, PinnedLibrary>();

  function(name: string): ServedFunction | undefined {
    return this.#functions.get(name);
  }

  /**
   * The library that serves an RPC method. Loads that would give one to two libraries are refused; where two have it all the same, since coordinators did not
   * reach one another, every coordinator comes to choose the one whose name sorts first.
   */
  method(name: string): ServedLibrary | undefined {
    return this.#methods.get(name);
  }

  /** Names of all RPC methods, in no order. */
  methods(): readonly string[] {
    return [...this.#methods.keys()];
  }

  /** Chosen as the library of a method is. */
  task(name: string): ServedTask | undefined {
    return this.#tasks.get(name);
  }

  /** In no order. */
  tasks(): Iterable<ServedTask> {
    return this.#tasks.values();
  }

  /** Libraries that have something to run around a task, by their names. */
  middleware(stage: TaskStage, task: string): readonly ServedLibrary[] {
    const registered = this.#middleware.get(stage);
    if (!registered) return [];
    return registered.filter(({ tasks }) => tasks.size === 0 || tasks.has(task)).map(({ library }) => library);
  }

  library(name: string): ServedLibrary | undefined {
    return this.#served.get(name);
  }

  /** The version with this hash: the newest, or one that is not retired yet. */
  pinned(hash: string): PinnedLibrary | undefined {
    return this.#byHash.get(hash);
  }

  newest(name: string): LibraryVersion | undefined {
    return this.#newest.get(name);
  }

  /** Whether the version is newer than the newest one here. */
  wants(version: LibraryVersion): boolean {
    const newest = this.#newest.get(version.name);
    return isNewer(headOf(version), newest && headOf(newest));
  }

  /** Every version that this coordinator would defend against an older record, deletions included. */
  versions(): Iterable<LibraryVersion> {
    return this.#newest.values();
  }

  list(): readonly ServedLibrary[] {
    return [...this.#served.values()].sort((a, b) => (a.source.name < b.source.name ? -1 : 1));
  }

  /** Keeps a loaded version for when it is committed. Nobody is served it. */
  prepare(source: LibrarySource, registrations: Registrations): void {
    if (this.#byHash.has(source.hash)) return;
    this.#prepared.set(source.hash, { source, registrations, counters: new LibraryCounters(registrations) });
  }

  /**
   * Pins a prepared version because a peer runs it, and so it was committed; the peer's runs find it, and nobody else is served it. It
   * may never be adopted here: a newer one may have come first. Undefined where it is not prepared.
   */
  pinPrepared(hash: string): PinnedLibrary | undefined {
    const prepared = this.#prepared.get(hash);
    if (prepared) this.#pin(prepared);
    return prepared;
  }

  /**
   * Takes a version over, unless the one here is newer. Returns the library it replaced, which stays pinned until `retire`.
   * `registrations` is undefined for a deletion.
   */
  adopt(version: LibraryVersion, registrations: Registrations | undefined): ServedLibrary | undefined {
    if (!this.wants(version)) return undefined;
    const replaced = this.#served.get(version.name);
    this.#newest.set(version.name, version);
    this.#withdraw(replaced);
    if (version.source && registrations) {
      const counters = new LibraryCounters(registrations);
      this.#serve({ version, source: version.source, registrations, counters });
    }
    this.#assignNames();
    return replaced;
  }

  /** Forgets a version by its hash, unless it is (again) the one that is served. False if it is. */
  retire(hash: string): boolean {
    const library = this.#byHash.get(hash);
    if (library && this.#served.get(library.source.name)?.source.hash === hash) return false;
    this.#byHash.delete(hash);
    this.#prepared.delete(hash);
    return true;
  }

  #pin(library: PinnedLibrary): void {
    this.#byHash.set(library.source.hash, library);
    this.#prepared.delete(library.source.hash);
  }

  #serve(library: ServedLibrary): void {
    this.#served.set(library.source.name, library);
    this.#pin(library);
    for (const info of library.registrations.functions) {
      this.#functions.set(`${library.source.name}.${info.name}`, { info, library });
    }
  }

  #withdraw(library: ServedLibrary | undefined): void {
    if (!library) return;
    this.#served.delete(library.source.name);
    for (const { name } of library.registrations.functions) this.#functions.delete(`${library.source.name}.${name}`);
  }

  #assignNames(): void {
    this.#methods.clear();
    this.#tasks.clear();
    this.#middleware.clear();
    for (const library of this.list()) {
      const { rpcMethods, tasks, middleware } = library.registrations;
      for (const method of rpcMethods) if (!this.#methods.has(method)) this.#methods.set(method, library);
      for (const info of tasks) if (!this.#tasks.has(info.name)) this.#tasks.set(info.name, { info, library });
      for (const { stage, tasks: names } of middleware) {
        const registered = this.#middleware.get(stage) ?? [];
        this.#middleware.set(stage, [...registered, { library, tasks: new Set(names) }]);
      }
    }
  }
}
