import { setFlagsFromString } from "node:v8";
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
import type { RunningCode } from "./running-code.ts";
import { thrownText, withLine } from "./thrown-text.ts";

/** What an isolate tells the process. Values come from the library's side of the wall: nothing about them is sure. */
export interface IsolateEvents {
  /** Answers `call` of a block's client. Never throws. */
  command(runId: unknown, isRaw: unknown, args: readonly unknown[]): unknown;
  /** The code that was entered has returned, or was ended. */
  returned(): void;
  /** `target`: the function's name, the call's own timeout, and whether it is made anew where the topology changed. */
  remoteCall(
    runId: unknown,
    callId: unknown,
    target: readonly unknown[],
    key: unknown,
    payloads: readonly unknown[],
  ): void;
  publish(runId: unknown, callId: unknown, messageType: unknown, payload: unknown): void;
  /** Whether the run works a task, or did: what it tells after its end is of no interest. */
  progress(runId: unknown, payload: unknown): boolean;
  /** Whether background work of the run may begin; `answer` begins it. */
  background(runId: unknown, callId: unknown): boolean;
  backgroundEnded(runId: unknown): void;
  succeeded(runId: unknown, result: unknown): void;
  failed(runId: unknown, code: unknown, message: unknown, stack: unknown): void;
  log(text: unknown): void;
  /** The run's own code was ended, or could not be entered. */
  aborted(run: HostRun, fault: Fault): void;
  /** The isolate is gone, not by `dispose`: its library reached the memory limit. */
  died(): void;
  /** V8 lost control over the isolate: it will never end what it does. */
  stuck(reason: string): void;
}

export interface IsolateParts {
  readonly library: LibrarySource;
  readonly limits: SandboxLimits;
  readonly modules: GuestModules;
  readonly running: RunningCode;
  /** See isolateStackKb. */
  readonly stackKb: number;
  /** Of the order that the library was loaded by. */
  readonly loadId: number;
  readonly events: IsolateEvents;
}

/** How much longer than its limit code may run. Unit: ms. */
const TICK_MS = 50;

/** How long V8 may take to end a top level whose time is up, before it is taken for unable to. */
const LOAD_GRACE_MS = 500;

/**
 * The isolate of one version of a library. Each entry into it has a timeout of its own, the one that goes on after an `await`
 * included, so that code which never pauses is ended and nothing else in the isolate is.
 *
 * The top level runs on a thread of the isolate's own; functions run on the thread that hosts it. There a block's commands cost no
 * change of thread, which is most of what they cost otherwise (145 us against 52 us, of which Redis takes 46), and a second library that
 * ran beside would only wait for the same Redis. What waits longer for it is JavaScript that needs no Redis: for `runTimeoutMs` at most.
 */
export class LibraryIsolate {
  readonly #parts: IsolateParts;
  readonly #isolate: ivm.Isolate;
  readonly #guest = new Map<keyof Guest, ivm.Reference>();
  #isDisposed = false;
  #isEntered = false;

  constructor(parts: IsolateParts) {
    this.#parts = parts;
    this.#isolate = new ivm.Isolate({
      memoryLimit: parts.limits.libraryMaxMemoryMb,
      onCatastrophicError: (message) => parts.events.stuck(`V8 lost control over an isolate: ${message}`),
    });
  }

  /** Whether a function's code is under way on this thread, be it that it waits for Redis. */
  get isEntered(): boolean {
    return this.#isEntered;
  }

  /** Runs the library's top level; what it registered. Rejects with LIBRARY_REFUSED; the isolate is of no use then. */
  async load(): Promise<FunctionTable> {
    const { library, limits } = this.#parts;
    this.#limitStack();
    const context = await this.#isolate.createContext();
    await this.#installGuest(context);
    const overdueMs = limits.loadTimeoutMs + LOAD_GRACE_MS;
    const overdue = setTimeout(() => this.#parts.events.stuck("a library's top level cannot be ended"), overdueMs);
    let registered: unknown;
    try {
      const script = await this.#isolate.compileScript(library.text, { filename: library.name });
      await script.run(context, { timeout: limits.loadTimeoutMs });
      script.release();
      registered = await this.#reference("finishLoad").apply(undefined, [], { timeout: limits.loadTimeoutMs });
    } catch (thrown) {
      throw await this.#refusal(thrown);
    } finally {
      clearTimeout(overdue);
    }
    return FunctionTable.parse(String(registered));
  }

  /** Calls a function; the run ends with an event. */
  invoke(run: HostRun, index: number, args: readonly (string | ArrayBuffer)[]): void {
    this.#enter(run, "invoke", [run.id, index, ...args]);
  }

  /** Settles a promise of the run. */
  answer(run: HostRun, callId: number, outcomes: readonly (boolean | string | ArrayBuffer | null)[]): void {
    this.#enter(run, "answer", [run.id, callId, ...outcomes]);
  }

  /** Lets the guest drop what it holds for a run that it did not end itself. */
  forget(run: HostRun): void {
    this.#enter(run, "forget", [run.id]);
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    if (!this.#isolate.isDisposed) this.#isolate.dispose();
  }

  /** V8 settles where an isolate's stack ends when a thread first enters it, by what the flag is then. */
  #limitStack(): void {
    setFlagsFromString(`--stack-size=${this.#parts.stackKb}`);
    this.#isolate.compileScriptSync("").release();
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
        new ivm.Callback((...command: unknown[]) => this.#command(command)),
        new ivm.Callback((...[runId, callId, name, timeoutMs, rerunOnChange, key, ...payloads]: unknown[]) =>
          events.remoteCall(runId, callId, [name, timeoutMs, rerunOnChange], key, payloads),
        ),
        new ivm.Callback(events.publish),
        new ivm.Callback(events.progress),
        new ivm.Callback(events.background),
        new ivm.Callback(events.backgroundEnded),
        new ivm.Callback(events.succeeded),
        new ivm.Callback(events.failed),
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

  /** Waiting for Redis is not the code's own time, for the watchdog as for isolated-vm. */
  #command([runId, isRaw, ...args]: readonly unknown[]): unknown {
    const { running, events, limits, loadId } = this.#parts;
    running.leave();
    const answer = events.command(runId, isRaw, args);
    running.enter(Number(runId), loadId, limits.runTimeoutMs);
    return answer;
  }

  #enter(run: HostRun, name: keyof Guest, args: unknown[]): void {
    if (this.#isDisposed) return;
    const { running, limits, loadId, events } = this.#parts;
    const limitMs = Math.min(limits.runTimeoutMs, remainingMs(run.deadline));
    const timeout = untilTick(limitMs);
    running.enter(run.id, loadId, timeout);
    this.#isEntered = true;
    try {
      this.#reference(name).applySync(undefined, args, { timeout, arguments: { copy: true } });
    } catch (thrown) {
      this.#aborted(run, limitMs < limits.runTimeoutMs, thrown);
    } finally {
      this.#isEntered = false;
      running.leave();
      events.returned();
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
      const where = withLine(text, thrown.stack ?? "", library.name);
      events.aborted(run, new Fault("FUNCTION_TIMEOUT", `${where} in ${run.run.function}`));
    }
  }

  #hasDied(): boolean {
    return this.#isolate.isDisposed && !this.#isDisposed;
  }

  async #refusal(thrown: unknown): Promise<Fault> {
    const { library, limits } = this.#parts;
    if (this.#hasDied()) return refused(`the library needs more than ${limits.libraryMaxMemoryMb} MB to load`);
    if (isTimeout(thrown)) {
      const text = `the library's top level ran longer than ${limits.loadTimeoutMs} ms`;
      return refused(withLine(text, thrown.stack ?? "", library.name));
    }
    const ownText = String(await this.#reference("refusal").apply(undefined, []));
    return refused(thrownText(thrown, library.name, ownText));
  }
}

function refused(message: string): Fault {
  return new Fault("LIBRARY_REFUSED", message);
}

/**
 * The time until the first tick that is not before `ms` from now. isolated-vm keeps a timer for every entry until it would have ended, and wakes a
 * thread for each; timers that end on a tick wake it once for all of them.
 */
function untilTick(ms: number): number {
  const now = monotonicMs();
  return Math.ceil(Math.ceil((now + ms) / TICK_MS) * TICK_MS - now);
}

/** isolated-vm has no class or code for it. Its stack begins where the code was when it was ended. */
function isTimeout(thrown: unknown): thrown is Error {
  return thrown instanceof Error && thrown.message === "Script execution timed out.";
}
