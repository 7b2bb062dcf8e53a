import { FUNCTION_FLAGS, type Registrations, type Run } from "../../functions/sandbox-port.ts";
import type { RegisteredFunction } from "../guest/registry.ts";

/** A function as a run needs it. */
export interface CallableFunction {
  /** The guest's name for it. */
  readonly index: number;
  /** Whether its blocks may only read. */
  readonly readOnly: boolean;
  /** Whether it is given ArrayBuffers instead of strings. */
  readonly rawArguments: boolean;
}

/** What a library registered, ready to be looked up. */
export class FunctionTable {
  readonly registrations: Registrations;
  readonly #functions = new Map<string, CallableFunction>();
  readonly #remoteFunctions = new Map<string, CallableFunction>();

  constructor(registered: readonly RegisteredFunction[]) {
    for (const [index, { name, kind, flags }] of registered.entries()) {
      const isRemote = kind === "remote";
      const readOnly = isRemote || flags.includes("no-writes");
      const rawArguments = flags.includes("raw-arguments");
      (isRemote ? this.#remoteFunctions : this.#functions).set(name, { index, readOnly, rawArguments });
    }
    this.registrations = {
      functions: registered
        .filter(({ kind }) => kind !== "remote")
        .map(({ name, kind, flags, description }) => ({
          name,
          isAsync: kind === "async",
          flags: FUNCTION_FLAGS.filter((flag) => flags.includes(flag)),
          description,
        })),
      remoteFunctions: [...this.#remoteFunctions.keys()],
    };
  }

  find({ kind, function: name }: Run): CallableFunction | undefined {
    return (kind === "remote" ? this.#remoteFunctions : this.#functions).get(name);
  }
}
