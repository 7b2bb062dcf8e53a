import type { CallContext } from "../base/call-context.ts";
import { monotonicMs } from "../base/deadline.ts";
import { Fault, type FaultCode } from "../base/fault.ts";
import type { Span, Spans } from "../base/spans.ts";
import type { Slot } from "../topology/topology.ts";
import type { Admission } from "./admission.ts";
import { assertAnswerable, assertStillAnswerable, confirmOwner, type Routed } from "./answerable.ts";
import type { CallRequest } from "./call-codec.ts";
import type { FaultPoints } from "./fault-points.ts";
import type { LibraryRegistry, PinnedLibrary, ServedFunction, ServedLibrary } from "./library-registry.ts";
import type { RunRemoteRequest } from "./remote-codec.ts";
import type { BlockTimes, Run, Sandbox } from "./sandbox-port.ts";
import type { Shards } from "./shards.ts";
import type { TaskStage } from "./task-registration.ts";

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
  readonly spans?: Spans | undefined;
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

/** Of no slot. */
const FROM_ANYWHERE: Routed = { slot: undefined, asking: false };

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

  /** Runs one attempt of a task, as `method` runs a method; for `progressed` see Run. Rejects with UNKNOWN_TASK where no library has it, and TASK_FAILED where it fails. */
  async task(
    name: string,
    args: readonly Uint8Array[],
    context: CallContext,
    progressed: NonNullable<Run["progressed"]>,
  ): Promise<Uint8Array> {
    const served = this.#parts.registry.task(name);
    if (!served) throw new Fault("UNKNOWN_TASK", `no library has a task ${name}`);
    const run: Run = { hash: served.library.source.hash, function: name, kind: "task", args, progressed };
    return this.#run(served.library, { run, mayWrite: true }, FROM_ANYWHERE, context);
  }

  /** Runs what a library has for a stage of tasks. Rejects as `task` does. */
  async middleware(library: ServedLibrary, stage: TaskStage, args: readonly Uint8Array[], context: CallContext) {
    const run: Run = { hash: library.source.hash, function: stage, kind: "middleware", args };
    return this.#run(library, { run, mayWrite: true }, FROM_ANYWHERE, context);
  }

  async #run(
    { counters, source }: PinnedLibrary,
    { run, mayWrite }: { readonly run: Run; readonly mayWrite: boolean },
    routed: Routed,
    context: CallContext,
  ): Promise<Uint8Array> {
    const { admission, sandbox, observer, shards, spans } = this.#parts;
    const name = `${source.name}.${run.function}`;
    const span = spans?.begin(`${run.kind} ${name}`, "internal", context.identity);
    const blockEnded = ({ startedAtMs, endedAtMs }: BlockTimes): void =>
      spans?.begin(`block ${name}`, "internal", span?.identity, startedAtMs)?.end("OK", endedAtMs);
    const startedMs = monotonicMs();
    let code: FaultCode | "OK" = "OK";
    observer.started(run.kind);
    try {
      admission.enter(context.depth);
      try {
        await confirmOwner(shards, routed);
        assertAnswerable(shards, run.kind, routed);
        const result = await sandbox.run(
          span?.isKept ? { ...run, blockEnded } : run,
          span ? tracedContext(context, span) : context,
        );
        assertStillAnswerable(shards, run.kind, routed, mayWrite);
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
      span?.end(code);
      counters.ended(run.kind, run.function, code === "OK", seconds);
    }
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

/** What the run calls belongs to its span. */
function tracedContext({ deadline, signal, depth }: CallContext, { identity }: Span): CallContext {
  return { deadline, signal, depth, identity };
}

/** Whoever calls a method, or enqueues a task, learns that it failed: that a library's function serves it is not its business. */
function faultOf({ kind }: Run, thrown: unknown): Fault {
  const fault = Fault.from(thrown);
  if (fault.code !== "FUNCTION_FAILED" || kind === "function" || kind === "remote") return fault;
  return new Fault(kind === "method" ? "METHOD_FAILED" : "TASK_FAILED", fault.message, { cause: fault });
}
