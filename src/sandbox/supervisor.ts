import { type BackoffLimits, backoffMs } from "../base/backoff.ts";
import type { CallContext } from "../base/call-context.ts";
import { monotonicMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { TimerWheel } from "../base/timer-wheel.ts";
import type { LibrarySource, Registrations, RemoteCalls, Run, Sandbox } from "../functions/sandbox-port.ts";
import { BackgroundRuns } from "./background-runs.ts";
import { MAIN_THREAD } from "./descriptors.ts";
import { KnownLibrary } from "./known-library.ts";
import { LibraryRoster } from "./library-roster.ts";
import { PendingRun } from "./pending-run.ts";
import { remoteOutcomes } from "./remote-outcomes.ts";
import type { Report } from "./reports.ts";
import { type ProcessEnd, SandboxProcess } from "./sandbox-process.ts";
import type { SupervisorParts, SupervisorState } from "./supervisor-parts.ts";
import { ThreadPool } from "./thread-pool.ts";

/** Runs that may wait for the process to start. */
const MAX_WAITING_RUNS = 1024;

/** Runs in all. Callers have narrower bounds of their own; this one keeps a mistake there from filling the memory. */
const MAX_RUNS = 65_536;

/** Bytes of orders that the process has not taken yet. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** A process that lived this long is no part of a series of deaths. */
const STABLE_MS = 5000;

/** The process may have to start anew, twice even, and load other libraries first. */
const LOAD_TIMEOUT_MS = 60_000;

/** How long a process that follows a dead one reports whose code is running. Unit: ms. */
const TRACE_MS = 60_000;

const RESTART: BackoffLimits = { initialMs: 50, maxMs: 2000 };

/**
 * The Sandbox port over a child process. The process may die of what libraries do; this side does not: it settles every run,
 * starts the process anew and gives it every library before any run.
 */
export class SandboxSupervisor implements Sandbox, AsyncDisposable {
  readonly #parts: SupervisorParts;
  readonly #wheel = new TimerWheel();
  readonly #roster = new LibraryRoster();
  readonly #runs = new Map<number, PendingRun>();
  readonly #waitingRuns = new Set<PendingRun>();
  readonly #backgroundRuns = new BackgroundRuns(this.#wheel, (id, thread) =>
    this.#running?.process.send({ kind: "cancel", id }, thread),
  );
  #state: SupervisorState = { kind: "idle" };
  #remoteCalls: RemoteCalls | undefined;
  #nextId = 1;
  /** Deaths in a row. */
  #deaths = 0;
  /** Of the library whose code has the process, as it said last: see the report of that name. */
  #runningLoadId: number | undefined;
  /** Whether it says so at all, as long as it is known for sure that only one library's code runs at a time. */
  #isTraced = false;
  #onClosed: (() => void) | undefined;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
  }

  get state(): SupervisorState {
    return this.#state;
  }

  /** Of the process that is there now. */
  get pid(): number | undefined {
    return "process" in this.#state ? this.#state.process.pid : undefined;
  }

  /** Runs that are not settled. */
  get inFlight(): number {
    return this.#runs.size;
  }

  /** Starts the process; `remoteCalls` is what its runs ask of the cluster. Does nothing once that was done. */
  start(remoteCalls: RemoteCalls): void {
    if (this.#state.kind !== "idle") return;
    this.#remoteCalls = remoteCalls;
    this.#spawn(0);
  }

  async load(source: LibrarySource): Promise<Registrations> {
    const known = this.#roster.get(source.hash);
    if (known) {
      this.#readmit(known);
      return known.registrations;
    }
    if (this.#state.kind === "closed") throw closed();
    const library = new KnownLibrary(source, this.#parts.configuration.limits.maxIsolates);
    this.#roster.add(library);
    this.#order(library);
    const text = `the sandbox process did not load the library within ${LOAD_TIMEOUT_MS} ms`;
    const late = () => this.#roster.remove(library, new Fault("UNAVAILABLE", text));
    const timer = this.#wheel.after(LOAD_TIMEOUT_MS, late);
    try {
      return await library.registrations;
    } finally {
      this.#wheel.disarm(timer);
    }
  }

  /** Why runs of this version are refused; undefined: they are not. */
  quarantine(hash: string): string | undefined {
    return this.#roster.get(hash)?.quarantine.reason;
  }

  /** Versions whose runs are refused. */
  get quarantined(): number {
    return this.#roster.quarantined;
  }

  unload(hash: string): void {
    const library = this.#roster.get(hash);
    if (!library) return;
    const fault = new Fault("CANCELLED", "the library version was unloaded");
    this.#roster.remove(library, fault);
    for (const run of this.#runs.values()) if (run.run.hash === hash) this.#fail(run, fault);
    this.#backgroundRuns.cancelVersion(hash);
    const { process, threads } = this.#running ?? {};
    for (let thread = 0; thread < (threads?.size ?? 0); thread++) process?.send({ kind: "unload", hash }, thread);
  }

  run(run: Run, context: CallContext): Promise<Uint8Array> {
    const refusal = this.#refusal(run, context);
    if (refusal) return Promise.reject(refusal);
    const pending = new PendingRun(this.#nextId++, run, context, this.#wheel, (given) => this.#giveUp(given));
    this.#runs.set(pending.id, pending);
    if (this.#running) this.#send(pending);
    else this.#waitingRuns.add(pending);
    return pending.result;
  }

  /** Ends the process and every run. Idempotent. */
  async close(): Promise<void> {
    const { state } = this;
    if (state.kind === "closed") return;
    this.#state = { kind: "closed" };
    if (state.kind === "waiting") clearTimeout(state.timer);
    for (const run of this.#runs.values()) this.#fail(run, new Fault("CANCELLED", "the coordinator is shutting down"));
    this.#backgroundRuns.cancelAll();
    for (const library of this.#roster.values()) library.refuse(closed());
    if (!("process" in state)) return;
    const ended = new Promise<void>((resolve) => {
      this.#onClosed = resolve;
    });
    state.process.kill("the coordinator is shutting down");
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The process and its threads, once it takes orders and as long as it does. */
  get #running(): Extract<SupervisorState, { kind: "running" }> | undefined {
    return this.#state.kind === "running" && !this.#state.process.isDoomed ? this.#state : undefined;
  }

  #refusal(run: Run, { signal }: CallContext): Fault | undefined {
    if (this.#state.kind === "closed") return closed();
    if (signal.aborted) return new Fault("CANCELLED", "the call was cancelled");
    const library = this.#roster.get(run.hash);
    if (!library) return new Fault("UNKNOWN_LIBRARY", "this version of the library is not loaded");
    const { reason } = library.quarantine;
    if (reason !== undefined) return new Fault("UNAVAILABLE", reason);
    if (this.#waitingRuns.size >= MAX_WAITING_RUNS) {
      return new Fault("RESOURCE_EXHAUSTED", `${MAX_WAITING_RUNS} calls wait for the sandbox process to start`);
    }
    const waitingBytes = "process" in this.#state ? this.#state.process.waitingBytes : 0;
    if (this.#runs.size + this.#backgroundRuns.size >= MAX_RUNS || waitingBytes > MAX_WAITING_BYTES) {
      return new Fault("RESOURCE_EXHAUSTED", "the sandbox process is too far behind");
    }
    return undefined;
  }

  #spawn(traceMs = TRACE_MS): void {
    const { entry, configuration, observer } = this.#parts;
    const process = SandboxProcess.spawn(entry, configuration.limits.maxIsolates, {
      isAlone: () => this.#runs.size <= 1,
      report: (report, thread) => this.#take(report, thread),
      ended: (end) => this.#ended(end),
    });
    const threads = new ThreadPool(process, configuration);
    this.#state = { kind: "starting", process, threads, startedMs: monotonicMs() };
    this.#runningLoadId = undefined;
    this.#isTraced = traceMs > 0;
    threads.start(traceMs);
    if (process.pid !== undefined) observer.started(process.pid);
  }

  #take(report: Report, thread: number): void {
    switch (report.kind) {
      case "ready":
        this.#ready(thread);
        break;
      case "result":
        this.#settled(report.id)?.succeed(report.result);
        break;
      case "failed":
        if (!this.#roster.failed(report.id, report.fault)) this.#settled(report.id)?.fail(report.fault);
        break;
      case "loaded":
        this.#roster.loaded(report.id, report.registrations);
        break;
      case "background":
        this.#background(report.id);
        break;
      case "over":
        this.#backgroundRuns.drop(report.id);
        break;
      case "remote-call":
        void this.#remoteCall(report);
        break;
      case "credentials":
        void this.#identify(thread);
        break;
      case "log":
        this.#parts.observer.logged(report.library, report.text);
        break;
      case "stuck":
        this.#runningLoadId = report.loadId;
        this.#stuck(report.id);
        break;
      case "running":
        this.#runningLoadId = report.loadId;
        if (report.loadId === undefined) this.#traceEnded();
        break;
      case "alive":
        this.#parts.observer.memory(report.rssBytes);
        break;
    }
  }

  /** The process was killed for it. The culprit learns more than that. */
  #stuck(id: number): void {
    this.#settled(id)?.fail(new Fault("FUNCTION_TIMEOUT", "the function did not pause and could not be ended"));
    const text = "the library's top level did not pause and could not be ended";
    this.#roster.failed(id, new Fault("LIBRARY_REFUSED", text));
  }

  /** Orders are obeyed in the order they are sent: every library is there before the first run. */
  #ready(thread: number): void {
    if (!("process" in this.#state)) return;
    this.#state.threads.ready(thread);
    if (this.#state.kind === "running") return;
    this.#state = { ...this.#state, kind: "running" };
    for (const library of this.#roster.values()) {
      if (library.quarantine.reason === undefined) this.#order(library);
    }
    for (const run of this.#waitingRuns) this.#send(run);
    this.#waitingRuns.clear();
  }

  /** Its `ready` may wait for this. */
  async #identify(thread: number): Promise<void> {
    const { state } = this;
    if (!("process" in state)) return;
    // Where there are none now, it is told that, and asks again with its next attempt.
    const credentials = await this.#parts.credentials().catch(() => undefined);
    state.process.send({ kind: "credentials", credentials }, thread);
  }

  #order(library: KnownLibrary): void {
    if (!this.#running) return;
    const id = this.#nextId++;
    this.#roster.ordered(library, id);
    this.#running.process.send({ kind: "load", id, library: library.source }, MAIN_THREAD);
    this.#orderFurther(library, id);
  }

  /** Its further isolates, which are all of the same load: the first one says whether it loads. */
  #orderFurther(library: KnownLibrary, id: number): void {
    if (!this.#running || this.#isTraced) return;
    const { process, threads } = this.#running;
    threads.grow(library.isolates);
    for (let thread = 1; thread < library.isolates; thread++) {
      process.send({ kind: "load", id, library: library.source }, thread);
    }
  }

  /** Until now all ran on the main thread, since it could not be said of several whose code ends the process. */
  #traceEnded(): void {
    this.#isTraced = false;
    for (const library of this.#roster.values()) {
      if (library.loadId !== undefined) this.#orderFurther(library, library.loadId);
    }
  }

  #send(pending: PendingRun): void {
    if (!this.#running) return;
    const { process, threads } = this.#running;
    const isolates = this.#isTraced ? 1 : (this.#roster.get(pending.run.hash)?.isolates ?? 1);
    pending.thread = threads.leastBusy(isolates);
    threads.runSent(pending.thread);
    const timeoutMs = Math.ceil(pending.remainingMs);
    process.send({ kind: "run", id: pending.id, run: pending.run, timeoutMs }, pending.thread);
  }

  #settled(id: number): PendingRun | undefined {
    const run = this.#runs.get(id);
    if (run) this.#drop(run);
    return run;
  }

  #fail(run: PendingRun, fault: Fault): void {
    this.#drop(run);
    run.fail(fault);
  }

  #drop(run: PendingRun): void {
    this.#runs.delete(run.id);
    if (run.thread === undefined) this.#waitingRuns.delete(run);
    else this.#running?.threads.runSettled(run.thread);
  }

  #background(id: number): void {
    const run = this.#runs.get(id);
    if (run) this.#backgroundRuns.begin(run);
  }

  /** Its caller no longer waits: the process may stop. What does not stop it ends by itself, or by our kill. */
  #giveUp(run: PendingRun): void {
    this.#drop(run);
    this.#backgroundRuns.cancel(run.id);
    if (run.thread !== undefined) this.#running?.process.send({ kind: "cancel", id: run.id }, run.thread);
  }

  async #remoteCall(report: Extract<Report, { kind: "remote-call" }>): Promise<void> {
    const { runId, callId, key, remoteFunction, args } = report;
    const caller = this.#callerOf(runId);
    if (!caller || !this.#remoteCalls) return;
    const call = { hash: caller.run.hash, context: caller.context, remoteFunction, args };
    const outcomes = await remoteOutcomes(this.#remoteCalls, call, key);
    // An id is never used again: a run that is still there is there in the same process.
    const { thread } = this.#callerOf(runId) ?? {};
    if (thread !== undefined) this.#running?.process.send({ kind: "remote-answer", runId, callId, outcomes }, thread);
  }

  /** The run that a remote call comes from. */
  #callerOf(runId: number): Pick<PendingRun, "run" | "context" | "thread"> | undefined {
    return this.#backgroundRuns.get(runId) ?? this.#runs.get(runId);
  }

  #ended(end: ProcessEnd): void {
    this.#parts.observer.ended(end);
    if (this.#state.kind === "closed") {
      this.#onClosed?.();
      return;
    }
    const livedMs = "startedMs" in this.#state ? monotonicMs() - this.#state.startedMs : 0;
    const fault = new Fault("INDETERMINATE", "the sandbox process of this shard ended while the call ran");
    this.#blame(this.#roster.culprit(this.#runs.values(), this.#runningLoadId));
    for (const run of this.#runs.values()) if (run.thread !== undefined) this.#fail(run, fault);
    this.#backgroundRuns.cancelAll();
    this.#roster.processEnded();
    this.#restart(livedMs);
  }

  #blame(culprit: KnownLibrary | undefined): void {
    if (!culprit?.quarantine.blame(monotonicMs())) return;
    const { name, hash } = culprit.source;
    const { reason = "" } = culprit.quarantine;
    this.#parts.observer.quarantined(name, reason);
    for (const run of this.#waitingRuns) if (run.run.hash === hash) this.#fail(run, new Fault("UNAVAILABLE", reason));
  }

  /** Somebody loads it again: it gets another chance. */
  #readmit(library: KnownLibrary): void {
    library.quarantine.lift();
    if (library.loadId === undefined) this.#order(library);
  }

  /** At once after a single death, later and later after several: a library may kill each new process. */
  #restart(livedMs: number): void {
    this.#deaths = livedMs >= STABLE_MS ? 0 : this.#deaths + 1;
    if (this.#deaths <= 1) {
      this.#spawn();
      return;
    }
    const timer = setTimeout(() => this.#spawn(), backoffMs(this.#deaths - 2, RESTART));
    this.#state = { kind: "waiting", timer };
  }
}

function closed(): Fault {
  return new Fault("UNAVAILABLE", "the coordinator is shutting down");
}
