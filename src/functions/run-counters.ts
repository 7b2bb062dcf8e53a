import type { Registrations, Run } from "./sandbox-port.ts";

/** Runs of one function that have ended, on this coordinator. */
export interface RunCounters {
  readonly calls: number;
  /** As many of the calls as ended with a fault, refused ones included. */
  readonly errors: number;
  /** From admission to result, all calls together. Unit: s. */
  readonly totalSeconds: number;
}

const NONE: RunCounters = { calls: 0, errors: 0, totalSeconds: 0 };

type Counting = { -readonly [Field in keyof RunCounters]: RunCounters[Field] };

/** Counts the runs of one version of a library: as many counters as it registered functions, gone with the version. */
export class LibraryCounters {
  readonly #counters: Readonly<Record<Run["kind"], Map<string, Counting>>>;

  constructor({ functions, remoteFunctions, rpcMethods, tasks, middleware }: Registrations) {
    this.#counters = {
      function: new Map(functions.map(({ name }) => [name, { ...NONE }])),
      remote: new Map(remoteFunctions.map((name) => [name, { ...NONE }])),
      method: new Map(rpcMethods.map((name) => [name, { ...NONE }])),
      task: new Map(tasks.map(({ name }) => [name, { ...NONE }])),
      middleware: new Map(middleware.map(({ stage }) => [stage, { ...NONE }])),
    };
  }

  of(kind: Run["kind"], name: string): RunCounters {
    return this.#counters[kind].get(name) ?? NONE;
  }

  /** A name that was not registered is not counted. */
  ended(kind: Run["kind"], name: string, ok: boolean, seconds: number): void {
    const counters = this.#counters[kind].get(name);
    if (!counters) return;
    counters.calls++;
    if (!ok) counters.errors++;
    counters.totalSeconds += seconds;
  }
}
