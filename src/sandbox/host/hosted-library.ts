import { isolatesOf } from "../../functions/library-header.ts";
import type { Registrations } from "../../functions/sandbox-port.ts";
import type { RemoteAnswer } from "../orders.ts";
import { isolateStackKb } from "../stack-size.ts";
import type { HostRun } from "./host-run.ts";
import { LibraryInstance, type LibraryInstanceParts, type LibraryReports } from "./library-instance.ts";

export interface HostedLibraryParts extends Omit<LibraryInstanceParts, "stackKb" | "reports"> {
  /** Those of one instance. */
  readonly reports: () => LibraryReports;
}

/**
 * One version of a library, in as many instances as it asks for. They share the thread: while the code of one waits for Redis, a run that only
 * reads may have its turn in the next one.
 */
export class HostedLibrary {
  readonly #instances: readonly LibraryInstance[];

  constructor({ reports, ...parts }: HostedLibraryParts) {
    this.#instances = Array.from({ length: isolatesOf(parts.source) }, (_, index) => {
      return new LibraryInstance({ ...parts, stackKb: isolateStackKb(index), reports: reports() });
    });
  }

  /** Rejects with LIBRARY_REFUSED where one of them does not load. */
  async load(): Promise<Registrations> {
    const [registrations] = await Promise.all(this.#instances.map((instance) => instance.load()));
    if (!registrations) throw new Error("a library without instances");
    return registrations;
  }

  /** Ends with a report. */
  start(run: HostRun): void {
    void this.#next?.start(run);
  }

  /** Whether it may be started while the code of another run, which only reads, waits for Redis. */
  mayStartMeanwhile(run: HostRun): boolean {
    return this.#next?.onlyReads(run) ?? false;
  }

  answer(run: HostRun, answer: RemoteAnswer): void {
    this.#of(run)?.answer(run, answer);
  }

  /** Like mayStartMeanwhile. */
  mayAnswerMeanwhile(run: HostRun): boolean {
    const instance = this.#of(run);
    return instance !== undefined && this.#free.includes(instance) && instance.onlyReads(run);
  }

  cancel(run: HostRun): void {
    this.#of(run)?.cancel(run);
  }

  dispose(): void {
    for (const instance of this.#instances) instance.dispose();
  }

  /** Those that may be entered: they come after those that are; see isolateStackKb. */
  get #free(): readonly LibraryInstance[] {
    return this.#instances.slice(this.#instances.findLastIndex(({ isEntered }) => isEntered) + 1);
  }

  /** One that starts anew after its isolate died takes runs only where no other one does. */
  get #next(): LibraryInstance | undefined {
    const free = this.#free;
    return free.find(({ isLoaded }) => isLoaded) ?? free[0];
  }

  #of(run: HostRun): LibraryInstance | undefined {
    return this.#instances.find((instance) => instance.has(run));
  }
}
