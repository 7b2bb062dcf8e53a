import { formatAddress } from "../base/address.ts";
import type { CallContext } from "../base/call-context.ts";
import { monotonicMs } from "../base/deadline.ts";
import { Fault, type FaultCode } from "../base/fault.ts";
import type { Slot } from "../topology/topology.ts";
import type { Admission } from "./admission.ts";
import type { CallRequest } from "./call-codec.ts";
import type { FaultPoints } from "./fault-points.ts";
import type { LibraryRegistry, PinnedLibrary, ServedFunction, ServedLibrary } from "./library-registry.ts";
import type { RunRemoteRequest } from "./remote-codec.ts";
import type { Run, Sandbox } from "./sandbox-port.ts";
import { knownTopology, ownerOf, type Shards } from "./shards.ts";

/** Told about every run, for the metrics. */
export interface RunObserver {
  started(kind: Run["kind"]): void;
  ended(kind: Run["kind"], code: FaultCode | "OK", seconds: number): void;
}

export interface ShardRunnerParts {
  readonly registry: LibraryRegistry;
  readonly sandbox: Sandbox;
  readonly admission: Admission;
  readonly shards: Shards;
  readonly observer: RunObserver;
  /** Whether the libraries are known to be as new as anywhere in the cluster. */
  readonly isLevel: () => boolean;
  /** Asks for the libraries' newest versions, because one is unknown here. Rejects where they cannot be known. */
  readonly level: () => Promise<void>;
  readonly faults: FaultPoints;
}

/** A call of an RPC method that a library has registered. */
export interface MethodRequest {
  readonly name: string;
  /** Encoded payloads. */
  readonly args: readonly Uint8Array[];
  /** Of the key that it was routed by. Without one it runs on whichever coordinator it came to, be it one that stands by. */
  readonly slot?: Slot | undefined;
  /** See Run. Default: false. */
  readonly asking?: boolean;
}

/** How a run came to be this shard's. */
export interface Routed {
  /** Of the key that it was routed by; undefined: it was not routed by one. */
  readonly slot: Slot | undefined;
  /** See Run: the shard need not own the slot, and Redis itself says whether it is on its way. */
  readonly asking: boolean;
}

/** Runs functions on this shard: the one place where every run begins, wherever its call came from. */
export class ShardRunner {
  readonly #parts: ShardRunnerParts;

  constructor(parts: ShardRunnerParts) {
    this.#parts = parts;
  }

  /** Runs a call from outside and resolves with the encoded Value. */
  async call(request: CallRequest, routed: Routed, context: CallContext): Promise<Uint8Array> {
    const served = this.#parts.registry.function(request.function) ?? (await this.#unserved(request.function));
    const args = request.keys.length === 0 ? request.args : [...request.keys, ...request.args];
    const { asking } = routed;
    const run: Run = { hash: served.library.source.hash, function: served.info.name, kind: "function", args, asking };
    return this.#run(served.library, { run, mayWrite: !served.info.flags.includes("no-writes") }, routed, context);
  }

  /** Runs a remote function for a run on this or another shard and resolves with the encoded Payload. */
  async remote(request: RunRemoteRequest, context: CallContext): Promise<Uint8Array> {
    const library = this.#parts.registry.pinned(request.hash) ?? (await this.#unservedVersion(request));
    if (!library.registrations.remoteFunctions.includes(request.function)) {
      throw new Fault(
        "UNKNOWN_FUNCTION",
        `Remote function ${request.function} does not exists on library ${request.library}`,
      );
    }
    const { hash, function: name, args, asking } = request;
    const run: Run = { hash, function: name, kind: "remote", args, asking };
    return this.#run(library, { run, mayWrite: false }, request, context);
  }

  /**
   * Runs an RPC method of a library and resolves with the encoded Payload. Rejects with UNKNOWN_METHOD where no library has it, METHOD_FAILED where it fails, and
   * otherwise as runs of functions do.
   */
  async method({ name, args, slot, asking = false }: MethodRequest, context: CallContext): Promise<Uint8Array> {
    const library = this.#parts.registry.method(name) ?? (await this.#unservedMethod(name));
    const run: Run = { hash: library.source.hash, function: name, kind: "method", args, asking };
    return this.#run(library, { run, mayWrite: true }, { slot, asking }, context);
  }

  async #run(
    { counters }: PinnedLibrary,
    { run, mayWrite }: { readonly run: Run; readonly mayWrite: boolean },
    routed: Routed,
    context: CallContext,
  ): Promise<Uint8Array> {
    const { admission, sandbox, observer } = this.#parts;
    const startedMs = monotonicMs();
    let code: FaultCode | "OK" = "OK";
    observer.started(run.kind);
    try {
      admission.enter(context.depth);
      try {
        await this.#confirm(routed);
        this.#assertAnswerable(routed, run.kind);
        const result = await sandbox.run(run, context);
        this.#assertStillAnswerable(routed, { kind: run.kind, mayWrite });
        return result;
      } finally {
        admission.leave(context.depth);
      }
    } catch (thrown) {
      const fault = faultOf(run, thrown);
      code = fault.code;
      throw fault;
    } finally {
      const seconds = (monotonicMs() - startedMs) / 1000;
      observer.ended(run.kind, code, seconds);
      counters.ended(run.kind, run.function, code === "OK", seconds);
    }
  }

  /** Whoever sent the run here may know a newer map. Redis is asked, since it alone says what is its own. */
  async #confirm({ slot, asking }: Routed): Promise<void> {
    if (slot === undefined || asking) return;
    const { shards } = this.#parts;
    const topology = shards.topology();
    if (topology && topology.ownerOf(slot)?.id !== topology.selfShard) await shards.confirm(slot);
  }

  /** After Redis replied: the slot, or the shard, may have left while the function ran. A call that may have written must not run again. */
  #assertStillAnswerable(routed: Routed, { kind, mayWrite }: { kind: Run["kind"]; mayWrite: boolean }): void {
    try {
      this.#assertAnswerable(routed, kind);
    } catch (thrown) {
      const { message } = Fault.from(thrown);
      if (mayWrite) throw new Fault("INDETERMINATE", `the ${kind} has run, but then: ${message}`);
      throw thrown;
    }
  }

  /** Throws unless this coordinator answers for its shard, and its shard for the slot. */
  #assertAnswerable({ slot, asking }: Routed, kind: Run["kind"]): void {
    // It was for this coordinator, and Redis itself says what its blocks may do there.
    if (slot === undefined && kind === "method") return;
    const { shards } = this.#parts;
    const topology = knownTopology(shards);
    const ownSlot = asking ? undefined : slot;
    const owner = ownSlot === undefined ? undefined : ownerOf(topology, ownSlot);
    // Also where our Redis became its replica: whoever asks goes on there.
    if (owner && owner.id !== topology.self) {
      throw new Fault("MOVED", `MOVED ${ownSlot} ${formatAddress(owner.address)}`);
    }
    if (!shards.isActive()) {
      throw new Fault(
        "UNAVAILABLE",
        "this coordinator stands by: its Redis is a replica or away, or another coordinator is active beside it",
      );
    }
    // Without keys it was for whichever shard it came to, and for no data of this one.
    if (slot === undefined && kind === "function") return;
    const objection = shards.objection(ownSlot);
    if (objection) throw objection;
  }

  /** A peer runs a version that was never served here: this coordinator was not told of it yet, or of a newer one first. */
  async #unservedVersion(request: RunRemoteRequest): Promise<PinnedLibrary> {
    const { registry, level, faults } = this.#parts;
    await faults.reached("envelope.unserved");
    const prepared = registry.pinPrepared(request.hash);
    if (prepared) {
      // The run need not wait for it. Where it cannot be known now, it is tried again soon.
      level().catch(() => undefined);
      return prepared;
    }
    await level();
    const library = registry.pinned(request.hash);
    if (library) return library;
    throw new Fault(
      "UNKNOWN_LIBRARY",
      this.#parts.registry.library(request.library)
        ? `Library ${request.library} exists on remote shard in another version only; try again`
        : `Library ${request.library} does not exists on remote shard`,
    );
  }

  async #unserved(name: string): Promise<ServedFunction> {
    await this.#levelled();
    const served = this.#parts.registry.function(name);
    if (!served) throw this.#unknownFunction(name);
    return served;
  }

  async #unservedMethod(name: string): Promise<ServedLibrary> {
    await this.#levelled();
    const library = this.#parts.registry.method(name);
    if (!library) throw new Fault("UNKNOWN_METHOD", `Unknown method ${name}`);
    return library;
  }

  /** Loads may have been missed: then nobody can say yet that there is no such function. */
  async #levelled(): Promise<void> {
    const { isLevel, level } = this.#parts;
    if (!isLevel()) await level();
  }

  #unknownFunction(name: string): Fault {
    const dot = name.indexOf(".");
    if (dot <= 0 || dot === name.length - 1) {
      return new Fault("INVALID_ARGUMENT", `"${name}" names no function: write <library>.<function>`);
    }
    const library = name.slice(0, dot);
    return this.#parts.registry.library(library)
      ? new Fault("UNKNOWN_FUNCTION", `Unknown function ${name.slice(dot + 1)}`)
      : new Fault("UNKNOWN_LIBRARY", `Unknown library ${library}`);
  }
}

/** Whoever calls a method learns that the method failed: that a library's function serves it is not its business. */
function faultOf({ kind }: Run, thrown: unknown): Fault {
  const fault = Fault.from(thrown);
  if (kind !== "method" || fault.code !== "FUNCTION_FAILED") return fault;
  return new Fault("METHOD_FAILED", fault.message, { cause: fault });
}
