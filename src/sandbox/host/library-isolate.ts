import ivm from "isolated-vm";
import { monotonicMs, remainingMs } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { parseLibraryHeader } from "../../functions/library-header.ts";
import type { LibrarySource } from "../../functions/sandbox-port.ts";
import type { Guest } from "../guest/install.ts";
import type { SandboxLimits } from "../settings.ts";
import { FunctionTable } from "./function-table.ts";
import { GUEST_ENTRY, type GuestModules, guestModuleName } from "./guest-modules.ts";
import type { HostRun } from "./host-run.ts";
import { thrownText } from "./thrown-text.ts";

/** What an isolate tells the process. Values come from the library's side of the wall: nothing about them is sure. */
export interface IsolateEvents {
  /** Code of the library runs, or waits for its turn. */
  busy(): void;
  /** None does any more. */
  idle(): void;
  /** Answers `call` of a block's client. Never rejects. */
  command(runId: unknown, blockId: unknown, isRaw: unknown, args: readonly unknown[]): Promise<unknown>;
  endBlock(runId: unknown, blockId: unknown): void;
  remoteCall(runId: unknown, callId: unknown, name: unknown, key: unknown, payloads: readonly unknown[]): void;
  succeeded(runId: unknown, result: unknown): void;
  failed(runId: unknown, code: unknown, message: unknown, stack: unknown): void;
  log(text: unknown): void;
  /** The run's own code was ended, or could not be entered. */
  aborted(run: HostRun, fault: Fault): void;
  /** The isolate is gone, not by `dispose`: its library reached the memory limit. */
  died(): void;
  /** V8 lost control over the isolate. */
  catastrophe(message: string): void;
}

export interface IsolateParts {
  readonly library: LibrarySource;
  readonly limits: SandboxLimits;
  readonly modules: GuestModules;
  readonly events: IsolateEvents;
}

/** One stay in the isolate, from asking to enter until the code has paused or ended. */
interface Entry {
  readonly run: HostRun | undefined;
  readonly timeoutMs: number;
}

/**
 * The isolate of one version of a library. Each entry into it has a timeout of its own, the one that goes on after an `await`
 * included, so that code which never pauses is ended and nothing else in the isolate is.
 */
export class LibraryIsolate {
  readonly #parts: IsolateParts;
  readonly #isolate: ivm.Isolate;
  readonly #guest = new Map<keyof Guest, ivm.Reference>();
  /** In the order in which they run: the isolate works on the first one. */
  readonly #entries = new Set<Entry>();
  /** Commands that the isolate waits for. That time is not its own. */
  #waits = 0;
  #progressMs = monotonicMs();
  #isDisposed = false;

  constructor(parts: IsolateParts) {
    this.#parts = parts;
    this.#isolate = new ivm.Isolate({
      memoryLimit: parts.limits.libraryMaxMemoryMb,
      onCatastrophicError: (message) => parts.events.catastrophe(message),
    });
  }

  /** Runs the library's top level; what it registered. Rejects with LIBRARY_REFUSED; the isolate is of no use then. */
  async load(): Promise<FunctionTable> {
    const { library, limits } = this.#parts;
    const context = await this.#isolate.createContext();
    await this.#installGuest(context);
    const entry = { run: undefined, timeoutMs: limits.loadTimeoutMs };
    let registered: unknown;
    try {
      const script = await this.#isolate.compileScript(library.text, { filename: library.name });
      await this.#enter(entry, (options) => script.run(context, options));
      script.release();
      registered = await this.#enter(entry, (options) => this.#reference("finishLoad").apply(undefined, [], options));
    } catch (thrown) {
      throw await this.#refusal(thrown);
    }
    return FunctionTable.parse(String(registered));
  }

  /** Calls a function; the run ends with an event. */
  invoke(run: HostRun, index: number, args: readonly (string | ArrayBuffer)[]): void {
    this.#resume(run, "invoke", [run.id, index, ...args]);
  }

  /** Settles a promise of the run. */
  answer(run: HostRun, callId: number, outcomes: readonly (boolean | string | ArrayBuffer)[]): void {
    this.#resume(run, "answer", [run.id, callId, ...outcomes]);
  }

  /** Lets the guest drop what it holds for a run that it did not end itself. */
  forget(run: HostRun): void {
    if (!this.#isDisposed) this.#reference("forget").applyIgnored(undefined, [run.id]);
  }

  /** How long the isolate has neither paused nor asked for anything, beyond what its code may take; 0: it is fine. Unit: ms. */
  overdueMs(nowMs: number): number {
    const [first] = this.#entries;
    if (!first || this.#waits > 0) return 0;
    return Math.max(0, nowMs - this.#progressMs - first.timeoutMs);
  }

  /** Whose code the isolate works on. */
  get running(): HostRun | undefined {
    const [first] = this.#entries;
    return first?.run;
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    if (!this.#isolate.isDisposed) this.#isolate.dispose();
  }

  async #installGuest(context: ivm.Context): Promise<void> {
    const { library, limits, modules, events } = this.#parts;
    const compiled = new Map<string, ivm.Module>();
    for (const [name, code] of modules) {
      compiled.set(name, await this.#isolate.compileModule(code, { filename: `gearmesh:${name}` }));
    }
    const moduleOf = (specifier: string): ivm.Module => {
      const module = compiled.get(guestModuleName(specifier));
      if (!module) throw new Error(`the guest has no module ${specifier}`);
      return module;
    };
    const entry = moduleOf(GUEST_ENTRY);
    await entry.instantiate(context, moduleOf);
    await entry.evaluate();
    const install = await entry.namespace.get("install", { reference: true });
    const guest = await install.apply(
      undefined,
      [
        new ivm.Reference((...call: unknown[]) => this.#command(call)),
        new ivm.Callback(events.endBlock, { ignored: true }),
        new ivm.Callback(
          (runId: unknown, callId: unknown, name: unknown, key: unknown, ...payloads: unknown[]) =>
            events.remoteCall(runId, callId, name, key, payloads),
          { ignored: true },
        ),
        new ivm.Callback(events.succeeded, { ignored: true }),
        new ivm.Callback(events.failed, { ignored: true }),
        // Waits, so that a library that logs in a loop is slowed down and fills no queue.
        new ivm.Callback(events.log),
        library.config,
        parseLibraryHeader(library.text).apiVersion,
        process.versions.v8,
        limits.maxResultBytes,
      ],
      { result: { reference: true } },
    );
    for (const name of ["finishLoad", "refusal", "invoke", "answer", "forget"] as const) {
      this.#guest.set(name, await (guest as ivm.Reference<Guest>).get(name, { reference: true }));
    }
  }

  #reference(name: keyof Guest): ivm.Reference {
    const reference = this.#guest.get(name);
    if (!reference) throw new Error("the isolate was not loaded");
    return reference;
  }

  async #command([runId, blockId, isRaw, ...args]: readonly unknown[]): Promise<unknown> {
    this.#waits++;
    const answer = await this.#parts.events.command(runId, blockId, isRaw, args);
    this.#waits--;
    this.#progressMs = monotonicMs();
    return answer;
  }

  #resume(run: HostRun, name: keyof Guest, args: unknown[]): void {
    const { runTimeoutMs } = this.#parts.limits;
    const leftMs = remainingMs(run.deadline);
    const entry = { run, timeoutMs: Math.max(1, Math.ceil(Math.min(runTimeoutMs, leftMs))) };
    const reference = this.#reference(name);
    this.#enter(entry, (options) => reference.apply(undefined, args, { ...options, arguments: { copy: true } })).catch(
      (thrown: unknown) => this.#aborted(run, entry.timeoutMs < runTimeoutMs, thrown),
    );
  }

  async #enter(entry: Entry, work: (options: { timeout: number }) => Promise<unknown>): Promise<unknown> {
    if (this.#entries.size === 0) {
      this.#progressMs = monotonicMs();
      this.#parts.events.busy();
    }
    this.#entries.add(entry);
    try {
      return await work({ timeout: entry.timeoutMs });
    } finally {
      this.#entries.delete(entry);
      this.#progressMs = monotonicMs();
      if (this.#entries.size === 0) this.#parts.events.idle();
    }
  }

  #aborted(run: HostRun, deadlineWasNearer: boolean, thrown: unknown): void {
    const { events, library, limits } = this.#parts;
    if (this.#hasDied()) events.died();
    else if (this.#isDisposed) return;
    // The guest throws nothing itself: isolated-vm reports this way that a promise was rejected and nobody had looked at it yet,
    // which may well happen later, and is not the run's result.
    else if (!isTimeout(thrown)) events.log(`unhandled rejection: ${thrownText(thrown, library.name)}`);
    else if (deadlineWasNearer) {
      events.aborted(run, new Fault("DEADLINE_EXCEEDED", "the call's deadline passed while its function ran"));
    } else {
      const text = `the function ran longer than ${limits.runTimeoutMs} ms without a pause`;
      events.aborted(run, new Fault("FUNCTION_TIMEOUT", text));
    }
  }

  #hasDied(): boolean {
    return this.#isolate.isDisposed && !this.#isDisposed;
  }

  async #refusal(thrown: unknown): Promise<Fault> {
    const { library, limits } = this.#parts;
    if (this.#hasDied()) return refused(`the library needs more than ${limits.libraryMaxMemoryMb} MB to load`);
    if (isTimeout(thrown)) return refused(`the library's top level ran longer than ${limits.loadTimeoutMs} ms`);
    const ownText = String(await this.#reference("refusal").apply(undefined, []));
    return refused(thrownText(thrown, library.name, ownText));
  }
}

function refused(message: string): Fault {
  return new Fault("LIBRARY_REFUSED", message);
}

/** isolated-vm has no class or code for it. */
function isTimeout(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.message === "Script execution timed out.";
}
