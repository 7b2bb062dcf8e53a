import { ApiError } from "./api-error.ts";
import { AsyncClient, type ClientContext } from "./clients.ts";
import type { Payload } from "./host.ts";
import { packMethodResult, packRemoteResult, packResult, unpackArgument, unpackMethodArgument } from "./payloads.ts";
import { getPrototypeOf, isArray, isWellFormed, matches, utf8Length } from "./primordials.ts";
import type { Task } from "./run.ts";

type LibraryFunction = (...args: never[]) => unknown;

/** What the host learns of a registered function. */
export interface RegisteredFunction {
  readonly name: string;
  readonly kind: "sync" | "async" | "remote" | "method";
  readonly flags: readonly string[];
  readonly description: string;
}

interface Entry extends RegisteredFunction {
  readonly body: LibraryFunction;
}

const FLAGS = ["no-writes", "allow-oom", "raw-arguments"];
const LEGAL_NAME = /^[A-Za-z0-9_]+$/;

/** Whoever calls a method gives its name: it is no word of a library's text. Unit: bytes. */
const MAX_METHOD_NAME = 128;

/** What the API calls those that a name tells apart from each other. */
const TITLES = { function: "Function", remote: "Remote function", method: "RPC method" } as const;
type NameSpace = keyof typeof TITLES;

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
    const entry: Entry = { name, kind, body: body as LibraryFunction, ...optionsFrom(options) };
    if (kind === "method" && entry.flags.length > 0) throw new ApiError("an RPC method has no flags");
    this.#entries[this.#entries.length] = entry;
  }

  /** Ends the load. Nothing registered: the library is of no use. */
  close(): readonly RegisteredFunction[] {
    this.#isOpen = false;
    const all: RegisteredFunction[] = [];
    for (let i = 0; i < this.#entries.length; i++) {
      const { name, kind, flags, description } = this.#entries[i] as Entry;
      all[i] = { name, kind, flags, description };
    }
    return all;
  }

  /** Calls a function; returns what it returns. */
  invoke(index: number, task: Task, context: ClientContext, args: readonly unknown[]): unknown {
    const { body, kind } = this.#entry(index);
    if (kind === "remote" || kind === "method") {
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
    if (kind === "method") return packMethodResult(result, maxBytes);
    return kind === "remote" ? packRemoteResult(result, maxBytes) : packResult(result, maxBytes);
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
  if (space === "method") {
    checkMethodName(name);
    return;
  }
  if (matches(LEGAL_NAME, name)) return;
  throw new ApiError(`Unallowed ${space === "remote" ? "cluster function" : "function"} name '${name}'`);
}

function checkMethodName(name: string): void {
  const expected = `it takes 1 to ${MAX_METHOD_NAME} bytes`;
  // Not even shown: one of some hundred MB takes long to look at.
  if (name.length > MAX_METHOD_NAME) throw new ApiError(`Unallowed RPC method name: ${expected}`);
  if (name !== "" && isWellFormed(name) && utf8Length(name) <= MAX_METHOD_NAME) return;
  throw new ApiError(`Unallowed RPC method name '${name}': ${expected}`);
}

/** The third argument: an array of flags, or an object with `flags` and `description`. */
function optionsFrom(options: unknown): { readonly flags: readonly string[]; readonly description: string } {
  if (options === undefined) return { flags: [], description: "" };
  if (typeof options !== "object" || options === null) throw new ApiError("the options must be an array or an object");
  if (isArray(options)) return { flags: flagsFrom(options), description: "" };
  const { flags = [], description = "" } = options as { readonly flags?: unknown; readonly description?: unknown };
  if (!isArray(flags)) throw new ApiError("'flags' must be an array");
  if (typeof description !== "string") throw new ApiError("Value is not string");
  return { flags: flagsFrom(flags), description };
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
