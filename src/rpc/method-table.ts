import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";

/** A call of a method, on the node that runs it. */
export interface MethodCall {
  readonly method: string;
  /** Encoded payloads. */
  readonly args: readonly Uint8Array[];
  /** Name of the node that was asked. */
  readonly caller: string;
  /** Of the key whose owner is meant; undefined: none is. */
  readonly slot?: number | undefined;
  /** The RunMethodRequest that it came with, if it did. */
  readonly encoded?: Uint8Array | undefined;
}

/** Runs a method; resolves with the encoded payload, or rejects with a Fault. */
export type Method = (call: MethodCall, context: CallContext) => Promise<Uint8Array>;

/** A method that every node has. */
export interface BuiltInMethod {
  readonly run: Method;
  /** Whether only callers with the scope `admin` may call it. */
  readonly isForAdmins: boolean;
}

/** Somebody connected who serves methods. */
export interface MethodProvider {
  /** Whether it can be asked now; one that has lost its link cannot. */
  readonly isPresent: boolean;
  readonly run: Method;
}

/** Methods that libraries have registered. */
export interface LibraryMethods {
  has(method: string): boolean;
  /** Whether there may be others, of which this node has not heard yet. */
  mayHaveMore(): boolean;
  /** Makes sure of that where it is so, and rejects with UNKNOWN_METHOD where no library has the method. */
  readonly run: Method;
}

/** Methods that one provider may register. */
const MAX_METHODS_PER_PROVIDER = 1000;

/** Longest name of a method. Unit: UTF-16 code units. */
const MAX_NAME_LENGTH = 128;

/**
 * The methods of this node, and nothing else can be called. A name is looked for among those that are built in, then in libraries, then with connected clients, of which those
 * that have registered the same one take turns.
 */
export class MethodTable {
  readonly #builtIn: ReadonlyMap<string, BuiltInMethod>;
  readonly #library: LibraryMethods;
  /** By name; the one whose turn it is comes first. */
  readonly #providers = new Map<string, Set<MethodProvider>>();
  readonly #names = new Map<MethodProvider, Set<string>>();

  constructor(builtIn: ReadonlyMap<string, BuiltInMethod>, library: LibraryMethods) {
    this.#builtIn = builtIn;
    this.#library = library;
  }

  /** Methods that connected clients have registered, each as often as it is. */
  get registered(): number {
    let count = 0;
    for (const names of this.#names.values()) count += names.size;
    return count;
  }

  isBuiltIn(method: string): boolean {
    return this.#builtIn.has(method);
  }

  isForAdmins(method: string): boolean {
    return this.#builtIn.get(method)?.isForAdmins ?? false;
  }

  /** Throws INVALID_ARGUMENT, METHOD_EXISTS or RESOURCE_EXHAUSTED where nobody could register these, or not all of them. */
  assertRegistrable(methods: readonly string[]): void {
    const names = new Set<string>();
    for (const method of methods) this.#assertRegistrable(method, names).add(method);
  }

  /** Throws as `assertRegistrable` does. */
  register(method: string, provider: MethodProvider): void {
    const names = this.#assertRegistrable(method, this.#names.get(provider) ?? new Set());
    this.#names.set(provider, names.add(method));
    const providers = this.#providers.get(method);
    if (providers) providers.add(provider);
    else this.#providers.set(method, new Set([provider]));
  }

  /** Throws UNKNOWN_METHOD where the provider has not registered it. */
  unregister(method: string, provider: MethodProvider): void {
    if (!this.#names.get(provider)?.delete(method)) {
      throw new Fault("UNKNOWN_METHOD", `this client has not registered method ${method}`);
    }
    this.#forget(method, provider);
  }

  /** The provider is gone. */
  unregisterAll(provider: MethodProvider): void {
    for (const method of this.#names.get(provider) ?? []) this.#forget(method, provider);
    this.#names.delete(provider);
  }

  /** Whether this provider has registered the method. */
  has(method: string, provider: MethodProvider): boolean {
    return this.#names.get(provider)?.has(method) ?? false;
  }

  /** Whether anybody here runs calls of the method, now or once its client is back. */
  knows(method: string): boolean {
    return this.#builtIn.has(method) || this.#library.has(method) || this.#providers.has(method);
  }

  /** The same, or it cannot be said yet: `find` then leads to who makes sure of it. */
  mayKnow(method: string): boolean {
    return this.knows(method) || this.#library.mayHaveMore();
  }

  /** Who runs a call of the method now; undefined where nobody here does. Throws UNAVAILABLE where all who do have lost their links. */
  find(method: string): Method | undefined {
    const builtIn = this.#builtIn.get(method);
    if (builtIn) return builtIn.run;
    if (this.#library.has(method)) return this.#library.run;
    const providers = this.#providers.get(method);
    if (!providers) return this.#library.mayHaveMore() ? this.#library.run : undefined;
    for (const provider of providers) {
      if (!provider.isPresent) continue;
      // Its next turn is after all others'.
      providers.delete(provider);
      providers.add(provider);
      return provider.run;
    }
    throw new Fault("UNAVAILABLE", `whoever has registered method ${method} has lost its link`);
  }

  /** Whether it can be registered beside `names`, which are returned. */
  #assertRegistrable(method: string, names: Set<string>): Set<string> {
    if (method === "" || method.length > MAX_NAME_LENGTH) {
      throw new Fault("INVALID_ARGUMENT", `the name of a method has 1 to ${MAX_NAME_LENGTH} characters`);
    }
    if (this.#builtIn.has(method)) throw new Fault("METHOD_EXISTS", `method ${method} is built in`);
    if (names.has(method)) throw new Fault("METHOD_EXISTS", `this client has registered method ${method} already`);
    if (names.size >= MAX_METHODS_PER_PROVIDER) {
      throw new Fault("RESOURCE_EXHAUSTED", `a client may register ${MAX_METHODS_PER_PROVIDER} methods at most`);
    }
    return names;
  }

  #forget(method: string, provider: MethodProvider): void {
    const providers = this.#providers.get(method);
    providers?.delete(provider);
    if (providers?.size === 0) this.#providers.delete(method);
  }
}
