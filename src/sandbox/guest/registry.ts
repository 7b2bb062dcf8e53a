import { ApiError } from "./api-error.ts";
import { AsyncClient, type ClientContext } from "./clients.ts";
import type { Payload } from "./host.ts";
import { packMethodResult, packRemoteResult, packResult, unpackArgument, unpackMethodArgument } from "./payloads.ts";
import { getPrototypeOf, isArray, isWellFormed, matches, stringifyJson, utf8Length } from "./primordials.ts";
import type { Task } from "./run.ts";

type LibraryFunction = (...args: never[]) => unknown;

/** What the host learns of a registered function. */
export interface RegisteredFunction {
  readonly name: string;
  readonly kind: "sync" | "async" | "remote" | "method" | "task" | "middleware";
  readonly flags: readonly string[];
  readonly description: string;
  /** Of a task or a middleware: what the library said of it, as JSON, which the host checks. */
  readonly options: string;
}

interface Entry extends RegisteredFunction {
  readonly body: LibraryFunction;
}

const FLAGS = ["no-writes", "allow-oom", "raw-arguments"];
const LEGAL_NAME = /^[A-Za-z0-9_]+$/;

/** Whoever calls a method or enqueues a task gives its name: it is no word of a library's text. Unit: bytes. */
const MAX_METHOD_NAME = 128;

/** What the API calls those that a name tells apart from each other. */
const TITLES = {
  function: "Function",
  remote: "Remote function",
  method: "RPC method",
  task: "task",
  middleware: "task middleware",
} as const;
type NameSpace = keyof typeof TITLES;

const NO_OPTIONS = { flags: [], description: "", options: "{}" };

const AsyncFunctionPrototype: unknown = getPrototypeOf(async () => undefined);

/** What the library registered, in order: the host names a function by its index. */
export class Registry {
  readonly #entries: Entry[] = [];
  #isOpen = true;
  #refusal = "";

  /** Why a registration was refused last: the host cannot tell our errors from the library's own. */
  get refusal(): string {
    return this.#refusal;
  }

  /** `spelling` is the method that the library called. */
  register(kind: RegisteredFunction["kind"], spelling: string, args: readonly unknown[]): void {
    try {
      this.#register(kind, spelling, args);
    } catch (thrown) {
      this.refuse(String(thrown));
    }
  }

  refuse(reason: string): never {
    this.#refusal = reason;
    throw new ApiError(reason);
  }

  #register(kind: RegisteredFunction["kind"], spelling: string, args: readonly unknown[]): void {
    if (!this.#isOpen) throw new ApiError(`'${spelling}' may only be called while the library is loaded`);
    if (args.length < 2 || args.length > 3) throw new ApiError("Wrong number of arguments given");
    const [name, body, options] = args;
    if (typeof name !== "string") throw new ApiError("Value is not string");
    const space = nameSpaceOf(kind);
    checkName(name, space);
    if (typeof body !== "function") throw new ApiError(`Second argument to '${spelling}' must be a function`);
    if (space !== "function" && getPrototypeOf(body) !== AsyncFunctionPrototype) {
      throw new ApiError(`${TITLES[space]} must be async`);
    }
    if (this.#has(name, space)) throw new ApiError(`${TITLES[space]} ${name} already exists`);
    const described = kind === "task" || kind === "middleware" ? taskOptions(options) : optionsFrom(options);
    const entry: Entry = { name, kind, body: body as LibraryFunction, ...described };
    if (kind === "method" && entry.flags.length > 0) throw new ApiError("an RPC method has no flags");
    this.#entries[this.#entries.length] = entry;
  }

  /** Ends the load. Nothing registered: the library is of no use. */
  close(): readonly RegisteredFunction[] {
    this.#isOpen = false;
    const all: RegisteredFunction[] = [];
    for (let i = 0; i < this.#entries.length; i++) {
      const { name, kind, flags, description, options } = this.#entries[i] as Entry;
      all[i] = { name, kind, flags, description, options };
    }
    return all;
  }

  /** Calls a function; returns what it returns. */
  invoke(index: number, task: Task, context: ClientContext, args: readonly unknown[]): unknown {
    const { body, kind } = this.#entry(index);
    if (kind !== "sync" && kind !== "async") {
      const unpack = kind === "remote" ? unpackArgument : unpackMethodArgument;
      const values: unknown[] = [];
      for (let i = 0; i < args.length; i++) values[i] = unpack(args[i] as Payload);
      return body(...([new AsyncClient(context, task), ...values] as never[]));
    }
    const expected = body.length - 1;
    if (args.length < expected) {
      throw new ApiError(
        `Not enough arguments was given, expected at least ${expected} arguments, got ${args.length} arguments.`,
        "INVALID_ARGUMENT",
      );
    }
    if (kind === "sync") return context.block(task, body, args);
    return body(...([new AsyncClient(context, task), ...args] as never[]));
  }

  pack(index: number, result: unknown, maxBytes: number): unknown {
    const { kind } = this.#entry(index);
    if (kind === "remote") return packRemoteResult(result, maxBytes);
    return kind === "sync" || kind === "async" ? packResult(result, maxBytes) : packMethodResult(result, maxBytes);
  }

  #entry(index: number): Entry {
    return this.#entries[index] as Entry;
  }

  #has(name: string, space: NameSpace): boolean {
    for (let i = 0; i < this.#entries.length; i++) {
      const entry = this.#entries[i] as Entry;
      if (entry.name === name && nameSpaceOf(entry.kind) === space) return true;
    }
    return false;
  }
}

function nameSpaceOf(kind: RegisteredFunction["kind"]): NameSpace {
  return kind === "sync" || kind === "async" ? "function" : kind;
}

function checkName(name: string, space: NameSpace): void {
  if (space === "method" || space === "task" || space === "middleware") {
    checkMethodName(name, TITLES[space]);
    return;
  }
  if (matches(LEGAL_NAME, name)) return;
  throw new ApiError(`Unallowed ${space === "remote" ? "cluster function" : "function"} name '${name}'`);
}

function checkMethodName(name: string, title: string): void {
  const expected = `it takes 1 to ${MAX_METHOD_NAME} bytes`;
  // Not even shown: one of some hundred MB takes long to look at.
  if (name.length > MAX_METHOD_NAME) throw new ApiError(`Unallowed ${title} name: ${expected}`);
  if (name !== "" && isWellFormed(name) && utf8Length(name) <= MAX_METHOD_NAME) return;
  throw new ApiError(`Unallowed ${title} name '${name}': ${expected}`);
}

/** The third argument: an array of flags, or an object with `flags` and `description`. */
function optionsFrom(options: unknown): Pick<Entry, "flags" | "description" | "options"> {
  if (options === undefined) return NO_OPTIONS;
  if (typeof options !== "object" || options === null) throw new ApiError("the options must be an array or an object");
  if (isArray(options)) return { ...NO_OPTIONS, flags: flagsFrom(options) };
  const { flags = [], description = "" } = options as { readonly flags?: unknown; readonly description?: unknown };
  if (!isArray(flags)) throw new ApiError("'flags' must be an array");
  if (typeof description !== "string") throw new ApiError("Value is not string");
  return { ...NO_OPTIONS, flags: flagsFrom(flags), description };
}

/** The third argument of what has to do with tasks: an object. */
function taskOptions(options: unknown): Pick<Entry, "flags" | "description" | "options"> {
  if (options === undefined) return NO_OPTIONS;
  if (typeof options !== "object" || options === null || isArray(options)) {
    throw new ApiError("the options must be an object");
  }
  return { ...NO_OPTIONS, options: stringifyJson(options) };
}

function flagsFrom(given: readonly unknown[]): string[] {
  const flags: string[] = [];
  for (let i = 0; i < given.length; i++) {
    const flag = given[i];
    if (typeof flag !== "string") throw new ApiError("Value is not string");
    if (!isKnownFlag(flag)) throw new ApiError(`Unknown flag '${flag}' was given`);
    flags[i] = flag;
  }
  return flags;
}

function isKnownFlag(flag: string): boolean {
  for (let i = 0; i < FLAGS.length; i++) if (FLAGS[i] === flag) return true;
  return false;
}
