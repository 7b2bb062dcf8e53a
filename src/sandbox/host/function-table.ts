import { Fault } from "../../base/fault.ts";
import { isLegalMethodName, isLegalName } from "../../functions/library-header.ts";
import { FUNCTION_FLAGS, type Registrations, type Run } from "../../functions/sandbox-port.ts";
import { middlewareRegistration, taskRegistration } from "../../functions/task-registration.ts";
import type { RegisteredFunction } from "../guest/registry.ts";

/** Most of what a library may register, as JSON: every coordinator keeps it. Unit: characters. */
const MAX_REGISTRATIONS = 1024 * 1024;

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
  readonly #callable: Readonly<Record<Run["kind"], Map<string, CallableFunction>>> = {
    function: new Map(),
    remote: new Map(),
    method: new Map(),
    task: new Map(),
    middleware: new Map(),
  };

  private constructor(registered: readonly RegisteredFunction[]) {
    for (const [index, { name, kind, flags }] of registered.entries()) {
      const readOnly = kind === "remote" || flags.includes("no-writes");
      const rawArguments = flags.includes("raw-arguments");
      this.#callable[runKindOf(kind)].set(name, { index, readOnly, rawArguments });
    }
    this.registrations = {
      functions: registered
        .filter(({ kind }) => runKindOf(kind) === "function")
        .map(({ name, kind, flags, description }) => ({
          name,
          isAsync: kind === "async",
          flags: FUNCTION_FLAGS.filter((flag) => flags.includes(flag)),
          description,
        })),
      remoteFunctions: [...this.#callable.remote.keys()],
      rpcMethods: [...this.#callable.method.keys()],
      tasks: registered
        .filter(({ kind }) => kind === "task")
        .map(({ name, options }) => taskRegistration(name, options)),
      middleware: registered
        .filter(({ kind }) => kind === "middleware")
        .map(({ name, options }) => middlewareRegistration(name, options)),
    };
  }

  /** `json` is what the guest says, in an isolate where the library may have changed what JSON.stringify does. */
  static parse(json: string): FunctionTable {
    if (json.length > MAX_REGISTRATIONS) {
      throw new Fault(
        "LIBRARY_REFUSED",
        `the library registers more than ${MAX_REGISTRATIONS} characters of names and descriptions`,
      );
    }
    let registered: unknown;
    try {
      registered = JSON.parse(json);
    } catch {
      registered = undefined;
    }
    if (!Array.isArray(registered) || !registered.every(isRegistered)) {
      throw new Fault("LIBRARY_REFUSED", "the library changed how its registrations are told");
    }
    if (registered.length === 0) {
      throw new Fault("LIBRARY_REFUSED", "Neither function nor other registrations were found.");
    }
    return new FunctionTable(registered);
  }

  find({ kind, function: name }: Run): CallableFunction | undefined {
    return this.#callable[kind].get(name);
  }
}

function runKindOf(kind: RegisteredFunction["kind"]): Run["kind"] {
  return kind === "sync" || kind === "async" ? "function" : kind;
}

function isRegistered(value: unknown): value is RegisteredFunction {
  if (typeof value !== "object" || value === null) return false;
  const { name, kind, flags, description, options } = value as Partial<Record<keyof RegisteredFunction, unknown>>;
  if (typeof name !== "string" || typeof options !== "string") return false;
  const isNamedAtWill = kind === "method" || kind === "task" || kind === "middleware";
  return (
    (isNamedAtWill ? isLegalMethodName(name) : isLegalName(name)) &&
    (isNamedAtWill || kind === "sync" || kind === "async" || kind === "remote") &&
    Array.isArray(flags) &&
    typeof description === "string"
  );
}
