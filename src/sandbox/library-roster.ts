import type { Fault } from "../base/fault.ts";
import type { Registrations } from "../functions/sandbox-port.ts";
import { culpritOf } from "./culprit.ts";
import type { KnownLibrary } from "./known-library.ts";
import type { PendingRun } from "./pending-run.ts";

/** The libraries that every sandbox process is given, and the orders to load them that the present one has not answered. */
export class LibraryRoster {
  readonly #libraries = new Map<string, KnownLibrary>();
  readonly #orders = new Map<number, KnownLibrary>();

  get(hash: string): KnownLibrary | undefined {
    return this.#libraries.get(hash);
  }

  values(): Iterable<KnownLibrary> {
    return this.#libraries.values();
  }

  /** How many are quarantined. */
  get quarantined(): number {
    return [...this.#libraries.values()].filter(({ quarantine }) => quarantine.reason !== undefined).length;
  }

  add(library: KnownLibrary): void {
    this.#libraries.set(library.source.hash, library);
  }

  /** Whoever waits for its load gets the fault. */
  remove(library: KnownLibrary, fault: Fault): void {
    this.#libraries.delete(library.source.hash);
    if (library.orderId !== undefined) this.#orders.delete(library.orderId);
    library.refuse(fault);
  }

  /** The process was told to load it. */
  ordered(library: KnownLibrary, id: number): void {
    library.orderId = id;
    library.loadId = id;
    this.#orders.set(id, library);
  }

  loaded(id: number, registrations: Registrations): void {
    this.#orders.get(id)?.loaded(registrations);
    this.#orders.delete(id);
  }

  /** False: there is no such order. A library that loaded before and does not now stays: its runs fail, and the next process tries again. */
  failed(id: number, fault: Fault): boolean {
    const library = this.#orders.get(id);
    if (!library) return false;
    this.#orders.delete(id);
    if (!library.isLoaded) this.remove(library, fault);
    return true;
  }

  /** The library whose code ended the process, if that can be told; see culpritOf. */
  culprit(runs: Iterable<PendingRun>, loadId: number | undefined): KnownLibrary | undefined {
    return culpritOf(this.#libraries, runs, loadId);
  }

  /** The next process knows none of them. Those that end each process that loads them are refused. */
  processEnded(): void {
    this.#orders.clear();
    for (const library of this.#libraries.values()) {
      library.loadId = undefined;
      if (!library.survives()) this.#libraries.delete(library.source.hash);
    }
  }
}
