import { Fault, isFaultCode } from "../../base/fault.ts";
import { encodePayload, type Payload } from "../../base/payload.ts";
import type { LibrarySource, Registrations, RemoteCall } from "../../functions/sandbox-port.ts";
import type { RemoteAnswer } from "../orders.ts";
import type { SandboxLimits } from "../settings.ts";
import type { BlockCommands } from "./block-commands.ts";
import {
  argumentFor,
  crossed,
  encodedResult,
  flatOutcomes,
  keyBytes,
  ownTimeoutMs,
  payloadArgument,
  takesPayloads,
} from "./crossing.ts";
import type { FunctionTable } from "./function-table.ts";
import type { GuestModules } from "./guest-modules.ts";
import { answerWithFault } from "./guest-reply.ts";
import type { HostRun } from "./host-run.ts";
import { type IsolateEvents, LibraryIsolate } from "./library-isolate.ts";
import type { RunningCode } from "./running-code.ts";
import { withLine } from "./thrown-text.ts";

/** Pieces of background work of one version of a library that may be under way. Admission counts its calls, and does not see these. */
const MAX_BACKGROUND_WORK = 256;

/** What a library tells the process. */
export interface LibraryReports {
  succeeded(run: HostRun, result: Uint8Array): void;
  failed(run: HostRun, fault: Fault): void;
  remoteCall(
    run: HostRun,
    callId: number,
    call: Pick<RemoteCall, "timeoutMs" | "rerunOnChange" | "args"> & { name: string; key: Uint8Array | undefined },
  ): void;
  /** `payload`: an encoded one. */
  publish(run: HostRun, callId: number, messageType: string, payload: Uint8Array): void;
  /** How far the task of the run is. */
  progress(run: HostRun, progress: Payload): void;
  /** The run has background work, for the first time: it may go on after its answer. */
  background(run: HostRun): void;
  /** A run that went on after its answer is over. */
  over(run: HostRun): void;
  /** Asks for an empty `answer` in a later turn, by which what was reported until now has left. */
  later(run: HostRun, callId: number): void;
  log(library: string, text: string): void;
  /** Only the end of the process helps. */
  stuck(reason: string): void;
}

export interface LibraryInstanceParts {
  readonly source: LibrarySource;
  readonly limits: SandboxLimits;
  readonly modules: GuestModules;
  readonly commands: BlockCommands;
  readonly running: RunningCode;
  /** See isolateStackKb. */
  readonly stackKb: number;
  /** Of the order to load it. */
  readonly loadId: number;
  readonly reports: LibraryReports;
}

interface Loaded {
  readonly isolate: LibraryIsolate;
  readonly table: FunctionTable;
}

/** One version of a library in an isolate of its own, and the runs there. When the isolate died, it gets a new one. */
export class LibraryInstance {
  readonly #parts: LibraryInstanceParts;
  readonly #runs = new Map<number, HostRun>();
  /** The isolate that runs are given to, and whatever it takes until there is one. */
  #loaded: Loaded | undefined;
  #loading: Promise<Loaded> | undefined;
  #isolate: LibraryIsolate | undefined;
  #backgroundWork = 0;
  #isDisposed = false;

  constructor(parts: LibraryInstanceParts) {
    this.#parts = parts;
  }

  has(run: HostRun): boolean {
    return this.#runs.get(run.id) === run;
  }

  /** Whether its code runs, or waits for Redis: then no other code may enter the isolate. */
  get isEntered(): boolean {
    return this.#isolate?.isEntered ?? false;
  }

  get isLoaded(): boolean {
    return this.#loaded !== undefined;
  }

  /** Whether the run's function is known here, and may not write. */
  onlyReads({ run }: HostRun): boolean {
    return this.#loaded?.table.find(run)?.readOnly ?? false;
  }

  /** Rejects with LIBRARY_REFUSED. */
  async load(): Promise<Registrations> {
    return (await this.#load()).table.registrations;
  }

  /** Ends with a report. */
  async start(run: HostRun): Promise<void> {
    this.#runs.set(run.id, run);
    try {
      const { isolate, table } = this.#loaded ?? (await this.#loadAgain());
      if (run.isOver) return;
      const callable = table.find(run.run);
      if (!callable) throw this.#unknown(run);
      isolate.invoke(
        run,
        callable.index,
        run.run.args.map(takesPayloads(run.run) ? payloadArgument : argumentFor(callable)),
      );
    } catch (thrown) {
      this.#fail(run, Fault.from(thrown));
    }
  }

  cancel(run: HostRun): void {
    const { state } = run;
    if (!this.#end(run)) return;
    this.#loaded?.isolate.forget(run);
    // The coordinator cancels an answered run for one reason only.
    if (state === "background") this.#logBackgroundEnd(run, "the call's deadline passed");
  }

  answer(run: HostRun, answer: RemoteAnswer): void {
    if (run.isOver) return;
    this.#loaded?.isolate.answer(run, answer.callId, flatOutcomes(answer));
  }

  dispose(): void {
    this.#isDisposed = true;
    for (const run of this.#runs.values()) this.#fail(run, new Fault("CANCELLED", "the library version was unloaded"));
    this.#isolate?.dispose();
    this.#loaded = undefined;
  }

  async #loadAgain(): Promise<Loaded> {
    try {
      return await this.#load();
    } catch (thrown) {
      const { message } = Fault.from(thrown);
      throw new Fault("UNAVAILABLE", `library ${this.#parts.source.name} could not be loaded again: ${message}`);
    }
  }

  #load(): Promise<Loaded> {
    this.#loading ??= this.#createIsolate().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #createIsolate(): Promise<Loaded> {
    const { source: library, limits, modules, running, stackKb, loadId } = this.#parts;
    const isolate: LibraryIsolate = new LibraryIsolate({
      library,
      limits,
      modules,
      running,
      stackKb,
      loadId,
      events: this.#events(() => isolate),
    });
    this.#isolate = isolate;
    try {
      this.#loaded = { isolate, table: await isolate.load() };
      return this.#loaded;
    } catch (thrown) {
      isolate.dispose();
      this.#isolate = undefined;
      throw thrown;
    }
  }

  /** `from` is the isolate that the events come from: what a former one still says is no longer of interest. */
  #events(from: () => LibraryIsolate): IsolateEvents {
    const { source, commands, reports, limits } = this.#parts;
    return {
      command: (runId, isRaw, args) => {
        const run = this.#runOf(runId);
        const readOnly = run && this.#loaded?.table.find(run.run)?.readOnly;
        if (!run || readOnly === undefined) return answerWithFault("CANCELLED", "the function's run was ended");
        return commands.send({ run, isRaw: isRaw === true, readOnly, args });
      },
      returned: () => commands.codeReturned(),
      remoteCall: (runId, callId, [name, timeoutMs, rerunOnChange], key, payloads) => {
        const run = this.#runOf(runId);
        if (!run || !Number.isSafeInteger(callId)) return;
        const args = payloads.map((payload) => encodePayload(crossed(payload)));
        reports.remoteCall(run, Number(callId), {
          name: String(name),
          timeoutMs: ownTimeoutMs(timeoutMs),
          rerunOnChange: rerunOnChange === true,
          key: keyBytes(key),
          args,
        });
      },
      publish: (runId, callId, messageType, payload) => {
        const run = this.#runOf(runId);
        if (!run || !Number.isSafeInteger(callId)) return;
        run.mayHaveWritten = true;
        reports.publish(run, Number(callId), String(messageType), encodePayload(crossed(payload)));
      },
      progress: (runId, payload) => {
        const run = this.#runOf(runId);
        if (run && run.run.kind !== "task") return false;
        const progress = crossed(payload);
        // The guest refuses what is larger, unless its library has tampered with what it asks. And the attempt of a run that goes on in the background has ended.
        if (run?.state === "running" && progress.length <= limits.maxResultBytes) reports.progress(run, progress);
        return true;
      },
      background: (runId, callId) => {
        const run = this.#runOf(runId);
        return run !== undefined && Number.isSafeInteger(callId) && this.#beginBackgroundWork(run, Number(callId));
      },
      backgroundEnded: (runId) => {
        const run = this.#runOf(runId);
        if (run && run.backgroundWork > 0) this.#endBackgroundWork(run);
      },
      succeeded: (runId, result) => {
        const run = this.#runOf(runId);
        if (run) this.#succeed(run, result);
      },
      failed: (runId, code, message, stack) => {
        const run = this.#runOf(runId);
        if (run) this.#refuse(run, this.#thrown(run, String(code), String(message), String(stack)));
      },
      log: (text) => reports.log(source.name, String(text)),
      aborted: (run, fault) => {
        this.#fail(run, fault);
        from().forget(run);
      },
      died: () => this.#died(from()),
      stuck: reports.stuck,
    };
  }

  #runOf(runId: unknown): HostRun | undefined {
    return typeof runId === "number" ? this.#runs.get(runId) : undefined;
  }

  #succeed(run: HostRun, result: unknown): void {
    const { maxResultBytes } = this.#parts.limits;
    try {
      const bytes = encodedResult(run, result);
      if (bytes.length > maxResultBytes + 64) {
        throw new Fault("RESOURCE_EXHAUSTED", `the result takes more than ${maxResultBytes} bytes`);
      }
      if (this.#answer(run)) this.#parts.reports.succeeded(run, bytes);
    } catch (thrown) {
      this.#refuse(run, Fault.from(thrown));
    }
  }

  /** The function failed; what it left in the background goes on. */
  #refuse(run: HostRun, fault: Fault): void {
    if (this.#answer(run)) this.#parts.reports.failed(run, fault);
  }

  /** Ends all of the run. */
  #fail(run: HostRun, fault: Fault): void {
    const { reports } = this.#parts;
    const { state } = run;
    if (!this.#end(run)) return;
    if (state === "running") {
      reports.failed(run, fault);
    } else {
      this.#logBackgroundEnd(run, fault.message);
      reports.over(run);
    }
  }

  /** False: it was answered already. */
  #answer(run: HostRun): boolean {
    if (run.state !== "running") return false;
    if (run.backgroundWork > 0) run.state = "background";
    else this.#end(run);
    return true;
  }

  /** False: it was over already. */
  #end(run: HostRun): boolean {
    if (run.isOver) return false;
    run.state = "over";
    this.#runs.delete(run.id);
    this.#backgroundWork -= run.backgroundWork;
    run.backgroundWork = 0;
    return true;
  }

  #beginBackgroundWork(run: HostRun, callId: number): boolean {
    if (this.#backgroundWork >= MAX_BACKGROUND_WORK) return false;
    this.#backgroundWork++;
    run.backgroundWork++;
    if (!run.hadBackgroundWork) this.#parts.reports.background(run);
    run.hadBackgroundWork = true;
    this.#parts.reports.later(run, callId);
    return true;
  }

  #endBackgroundWork(run: HostRun): void {
    this.#backgroundWork--;
    run.backgroundWork--;
    if (run.backgroundWork === 0 && run.state === "background" && this.#end(run)) this.#parts.reports.over(run);
  }

  /** Nobody waits for it: only the log can tell. */
  #logBackgroundEnd({ run }: HostRun, reason: string): void {
    const { reports, source } = this.#parts;
    reports.log(source.name, `background work of ${run.function} was ended: ${reason}`);
  }

  #died(isolate: LibraryIsolate): void {
    if (this.#isolate !== isolate) return;
    this.#isolate = undefined;
    this.#loaded = undefined;
    const { source, limits } = this.#parts;
    const text = `library ${source.name} reached its memory limit of ${limits.libraryMaxMemoryMb} MB, and starts anew`;
    for (const run of this.#runs.values()) this.#fail(run, new Fault("RESOURCE_EXHAUSTED", text));
    setImmediate(() => this.#startAnew());
  }

  /** Where it does not load now, the next run learns why. */
  #startAnew(): void {
    if (!this.#isDisposed && !this.#loaded) this.#load().catch(() => undefined);
  }

  #thrown(run: HostRun, code: string, message: string, stack: string): Fault {
    const { source, limits } = this.#parts;
    if (stack === "") return new Fault(isFaultCode(code) ? code : "FUNCTION_FAILED", message);
    const text = `${withLine(message, stack, source.name)} in ${run.run.function}`;
    return new Fault("FUNCTION_FAILED", limits.errorVerbosity > 1 ? `${text}\n${stack}` : text);
  }

  #unknown({ run }: HostRun): Fault {
    const { name } = this.#parts.source;
    if (run.kind === "method") return new Fault("UNKNOWN_METHOD", `Unknown method ${run.function}`);
    if (run.kind === "task") return new Fault("UNKNOWN_TASK", `Unknown task ${run.function}`);
    const text =
      run.kind === "remote"
        ? `Remote function ${run.function} does not exists on library ${name}`
        : `Unknown function ${run.function}`;
    return new Fault("UNKNOWN_FUNCTION", text);
  }
}
