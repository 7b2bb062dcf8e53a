import { Fault } from "../base/fault.ts";
import { isolatesOf } from "../functions/library-header.ts";
import type { LibrarySource, Registrations } from "../functions/sandbox-port.ts";
import { Quarantine } from "./quarantine.ts";

/** A process that dies while it loads a library is given the library once more: another one may have killed it. */
const MAX_DEATHS = 2;

/** A library that every sandbox process is given; it is loaded anew by each. */
export class KnownLibrary {
  readonly source: LibrarySource;
  readonly quarantine: Quarantine;
  /** Of the load order that the current process was given. */
  loadId: number | undefined;
  /** Of the load order that the current process has not answered. */
  orderId: number | undefined;
  #deaths = 0;
  #isSettled = false;
  readonly #settlement = Promise.withResolvers<Registrations>();

  /** Throws LIBRARY_REFUSED where it asks for more than `maxIsolates`. */
  constructor(source: LibrarySource, maxIsolates: number) {
    this.source = source;
    const isolates = isolatesOf(source);
    if (isolates > maxIsolates) {
      const text = `the library asks for ${isolates} isolates, and ${maxIsolates} are allowed (maxIsolates)`;
      throw new Fault("LIBRARY_REFUSED", text);
    }
    this.quarantine = new Quarantine(source.name);
    // Its first waiter may come later than its failure.
    this.registrations.catch(() => undefined);
  }

  get registrations(): Promise<Registrations> {
    return this.#settlement.promise;
  }

  /** Whether a process has loaded it once. */
  get isLoaded(): boolean {
    return this.#isSettled;
  }

  loaded(registrations: Registrations): void {
    this.#isSettled = true;
    this.orderId = undefined;
    this.#settlement.resolve(registrations);
  }

  refuse(fault: Fault): void {
    this.#settlement.reject(fault);
  }

  /** The process ended. False: it is this library that ends them, and it is refused. */
  survives(): boolean {
    if (this.orderId === undefined || this.#isSettled) return true;
    this.orderId = undefined;
    if (++this.#deaths < MAX_DEATHS) return true;
    this.refuse(new Fault("LIBRARY_REFUSED", "the sandbox process ended each time that it loaded this library"));
    return false;
  }
}
