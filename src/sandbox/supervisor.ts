import type { CallContext } from "../base/call-context.ts";
import { monotonicMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { TimerWheel } from "../base/timer-wheel.ts";
import type { ClusterCalls, LibrarySource, Registrations, Run, Sandbox } from "../functions/sandbox-port.ts";
import { BackgroundRuns } from "./background-runs.ts";
import { KnownLibrary } from "./known-library.ts";
import { LibraryRoster } from "./library-roster.ts";
import type { RemoteAnswer } from "./orders.ts";
import { PendingRun } from "./pending-run.ts";
import { type KeeperState, ProcessKeeper } from "./process-keeper.ts";
import { publishOutcome, remoteOutcomes } from "./remote-outcomes.ts";
import type { Report } from "./reports.ts";
import type { SupervisorParts } from "./supervisor-parts.ts";

/** Runs that may wait for the process to start. */
const MAX_WAITING_RUNS = 1024;

/** Runs in all. Callers have narrower bounds of their own; this one keeps a mistake there from filling the memory. */
const MAX_RUNS = 65_536;

/** Bytes of orders that the process has not taken yet. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** The process may have to start anew, twice even, and load other libraries first. */
const LOAD_TIMEOUT_MS = 60_000;

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
  readonly #backgroundRuns = new BackgroundRuns(this.#wheel, (id) =>
    this.#keeper.running?.process.send({ kind: "cancel", id }),
  );
  readonly #keeper: ProcessKeeper;
  #clusterCalls: ClusterCalls | undefined;
  #nextId = 1;
  /** Of the library whose code has the process, as it said last: see the report of that name. */
  #runningLoadId: number | undefined;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
    this.#keeper = new ProcessKeeper(parts, {
      isAlone: () => this.#runs.size <= 1,
      report: (report) => this.#take(report),
      ended: () => this.#processEnded(),
    });
  }

  get state(): KeeperState {
    return this.#keeper.state;
  }

  /** Of the process that is there now. */
  get pid(): number | undefined {
    return this.#keeper.present?.process.pid;
  }

  /** Runs that are not settled. */
  get inFlight(): number {
    return this.#runs.size;
  }

  /** Starts the process; `clusterCalls` does what its runs ask of the cluster. Does nothing once that was done. */
  start(clusterCalls: ClusterCalls): void {
    this.#clusterCalls ??= clusterCalls;
    this.#keeper.start();
  }

  async load(source: LibrarySource): Promise<Registrations> {
    const known = this.#roster.get(source.hash);
    if (known) {
      this.#readmit(known);
      return known.registrations;
    }
    if (this.#isClosed) throw closed();
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
    this.#keeper.running?.process.send({ kind: "unload", hash });
  }

  run(run: Run, context: CallContext): Promise<Uint8Array> {
    const refusal = this.#refusal(run, context);
    if (refusal) return Promise.reject(refusal);
    const pending = new PendingRun(this.#nextId++, run, context, this.#wheel, (given) => this.#giveUp(given));
    this.#runs.set(pending.id, pending);
    if (this.#keeper.running) this.#send(pending);
    else this.#waitingRuns.add(pending);
    return pending.result;
  }

  /** Ends the process and every run. Idempotent. */
  async close(): Promise<void> {
    const reason = "the coordinator is shutting down";
    const ended = this.#keeper.close(reason);
    for (const run of this.#runs.values()) this.#fail(run, new Fault("CANCELLED", reason));
    this.#backgroundRuns.cancelAll();
    for (const library of this.#roster.values()) library.refuse(closed());
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #isClosed(): boolean {
    return this.#keeper.state.kind === "closed";
  }

  #refusal(run: Run, { signal }: CallContext): Fault | undefined {
    if (this.#isClosed) return closed();
    if (signal.aborted) return new Fault("CANCELLED", "the call was cancelled");
    const library = this.#roster.get(run.hash);
    if (!library) return new Fault("UNKNOWN_LIBRARY", "this version of the library is not loaded");
    const { reason } = library.quarantine;
    if (reason !== undefined) return new Fault("UNAVAILABLE", reason);
    if (this.#waitingRuns.size >= MAX_WAITING_RUNS) {
      return new Fault("RESOURCE_EXHAUSTED", `${MAX_WAITING_RUNS} calls wait for the sandbox process to start`);
    }
    const waitingBytes = this.#keeper.present?.process.waitingBytes ?? 0;
    if (this.#runs.size + this.#backgroundRuns.size >= MAX_RUNS || waitingBytes > MAX_WAITING_BYTES) {
      return new Fault("RESOURCE_EXHAUSTED", "the sandbox process is too far behind");
    }
    return undefined;
  }

  #take(report: Report): void {
    switch (report.kind) {
      case "ready":
        this.#ready();
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
      case "publish":
        void this.#publish(report);
        break;
      case "progress":
        // Of one that is settled, or was given up, nobody wants to know.
        this.#runs.get(report.id)?.run.progressed?.(report.progress);
        break;
      case "credentials":
        void this.#identify();
        break;
      case "block":
        this.#callerOf(report.id)?.run.blockEnded?.(report.times);
        break;
      case "log":
        this.#parts.observer.logged(report.library, report.text);
        break;
      case "moved":
        this.#parts.observer.moved(report.text);
        break;
      case "stuck":
        this.#runningLoadId = report.loadId;
        this.#stuck(report.id);
        break;
      case "running":
        this.#runningLoadId = report.loadId;
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
  #ready(): void {
    this.#keeper.ready();
    for (const library of this.#roster.values()) {
      if (library.quarantine.reason === undefined) this.#order(library);
    }
    for (const run of this.#waitingRuns) this.#send(run);
    this.#waitingRuns.clear();
  }

  /** Its `ready` may wait for this. */
  async #identify(): Promise<void> {
    const { process } = this.#keeper.present ?? {};
    // Where there are none now, it is told that, and asks again with its next attempt.
    const credentials = await this.#parts.credentials().catch(() => undefined);
    process?.send({ kind: "credentials", credentials });
  }

  #order(library: KnownLibrary): void {
    if (!this.#keeper.running) return;
    const id = this.#nextId++;
    this.#roster.ordered(library, id);
    this.#keeper.running.process.send({ kind: "load", id, library: library.source });
  }

  #send(pending: PendingRun): void {
    if (!this.#keeper.running) return;
    pending.wasSent = true;
    const timeoutMs = Math.ceil(pending.remainingMs);
    const { id, run } = pending;
    this.#keeper.running.process.send({ kind: "run", id, run, timeoutMs, tellsBlocks: run.blockEnded !== undefined });
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
    this.#waitingRuns.delete(run);
  }

  #background(id: number): void {
    const run = this.#runs.get(id);
    if (run) this.#backgroundRuns.begin(run);
  }

  /** Its caller no longer waits: the process may stop. What does not stop it ends by itself, or by our kill. */
  #giveUp(run: PendingRun): void {
    this.#drop(run);
    this.#backgroundRuns.cancel(run.id);
    if (run.wasSent) this.#keeper.running?.process.send({ kind: "cancel", id: run.id });
  }

  async #remoteCall(report: Extract<Report, { kind: "remote-call" }>): Promise<void> {
    const { runId, callId, key, remoteFunction, timeoutMs, rerunOnChange, args } = report;
    const caller = this.#callerOf(runId);
    if (!caller || !this.#clusterCalls) return;
    const call = { hash: caller.run.hash, context: caller.context, remoteFunction, timeoutMs, rerunOnChange, args };
    this.#answer({ runId, callId, ...(await remoteOutcomes(this.#clusterCalls.remote, call, key)) });
  }

  async #publish(report: Extract<Report, { kind: "publish" }>): Promise<void> {
    const { runId, callId } = report;
    const caller = this.#callerOf(runId);
    if (!caller || !this.#clusterCalls) return;
    this.#answer({ runId, callId, ...(await publishOutcome(this.#clusterCalls, report, caller.context)) });
  }

  /** An id is never used again: a run that is still there is there in the same process. */
  #answer(answer: Omit<RemoteAnswer, "kind">): void {
    if (this.#callerOf(answer.runId)) this.#keeper.running?.process.send({ kind: "remote-answer", ...answer });
  }

  /** The run that a remote call, or a message to publish, comes from. */
  #callerOf(runId: number): Pick<PendingRun, "run" | "context"> | undefined {
    return this.#backgroundRuns.get(runId) ?? this.#runs.get(runId);
  }

  #processEnded(): void {
    const fault = new Fault("INDETERMINATE", "the sandbox process of this shard ended while the call ran");
    this.#blame(this.#roster.culprit(this.#runs.values(), this.#runningLoadId));
    for (const run of this.#runs.values()) if (run.wasSent) this.#fail(run, fault);
    this.#backgroundRuns.cancelAll();
    this.#roster.processEnded();
    this.#runningLoadId = undefined;
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
}

function closed(): Fault {
  return new Fault("UNAVAILABLE", "the coordinator is shutting down");
}
