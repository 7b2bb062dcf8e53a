import { type BackoffLimits, backoffMs } from "../base/backoff.ts";
import { monotonicMs } from "../base/deadline.ts";
import type { Report } from "./reports.ts";
import { SandboxProcess } from "./sandbox-process.ts";
import type { SupervisorParts } from "./supervisor-parts.ts";

/** A process that lived this long is no part of a series of deaths. */
const STABLE_MS = 5000;

/** How long a process that follows a dead one reports whose code is running. Unit: ms. */
const TRACE_MS = 60_000;

const RESTART: BackoffLimits = { initialMs: 50, maxMs: 2000 };

/** One life of the process. */
export interface ProcessLife {
  readonly process: SandboxProcess;
  readonly startedMs: number;
}

export type KeeperState =
  /** `start` was not called yet. */
  | { readonly kind: "idle" }
  /** The process was started and has not taken its configuration yet; runs wait. */
  | ({ readonly kind: "starting" } & ProcessLife)
  | ({ readonly kind: "running" } & ProcessLife)
  /** The process died, and the next start is put off since several did in a row; runs wait. */
  | { readonly kind: "waiting"; readonly timer: NodeJS.Timeout }
  | { readonly kind: "closed" };

export interface KeeperOwner {
  /** Whether one run at most is under way. */
  isAlone(): boolean;
  report(report: Report): void;
  /** The process is gone with all that it was given. Another one is started after this. */
  ended(): void;
}

/** Keeps one sandbox process at a time: starts it, and starts the next one when it has ended, until it is closed. */
export class ProcessKeeper {
  readonly #parts: SupervisorParts;
  readonly #owner: KeeperOwner;
  #state: KeeperState = { kind: "idle" };
  /** Deaths in a row. */
  #deaths = 0;
  #onClosed: (() => void) | undefined;

  constructor(parts: SupervisorParts, owner: KeeperOwner) {
    this.#parts = parts;
    this.#owner = owner;
  }

  get state(): KeeperState {
    return this.#state;
  }

  /** The process that is there now, whether it takes orders or not. */
  get present(): ProcessLife | undefined {
    return "process" in this.#state ? this.#state : undefined;
  }

  /** The process, once it takes orders and as long as it does. */
  get running(): ProcessLife | undefined {
    return this.#state.kind === "running" && !this.#state.process.isDoomed ? this.#state : undefined;
  }

  /** Starts the first process. */
  start(): void {
    if (this.#state.kind === "idle") this.#spawn(0);
  }

  /** The process takes runs from now on. */
  ready(): void {
    if (this.#state.kind === "starting") this.#state = { ...this.#state, kind: "running" };
  }

  /** Ends the process, and resolves once it has ended. */
  async close(reason: string): Promise<void> {
    const { state } = this;
    if (state.kind === "closed") return;
    this.#state = { kind: "closed" };
    if (state.kind === "waiting") clearTimeout(state.timer);
    if (!("process" in state)) return;
    const ended = new Promise<void>((resolve) => {
      this.#onClosed = resolve;
    });
    state.process.kill(reason);
    await ended;
  }

  #spawn(traceMs: number): void {
    const { entry, configuration, observer } = this.#parts;
    const process = SandboxProcess.spawn(entry, {
      isAlone: () => this.#owner.isAlone(),
      report: (report) => this.#owner.report(report),
      ended: (end) => {
        observer.ended(end);
        this.#ended();
      },
    });
    this.#state = { kind: "starting", process, startedMs: monotonicMs() };
    process.send({ kind: "configure", configuration, traceMs });
    if (process.pid !== undefined) observer.started(process.pid);
  }

  #ended(): void {
    if (this.#state.kind === "closed") {
      this.#onClosed?.();
      return;
    }
    const livedMs = "process" in this.#state ? monotonicMs() - this.#state.startedMs : 0;
    this.#owner.ended();
    this.#restart(livedMs);
  }

  /** At once after a single death, later and later after several: a library may kill each new process. */
  #restart(livedMs: number): void {
    this.#deaths = livedMs >= STABLE_MS ? 0 : this.#deaths + 1;
    if (this.#deaths <= 1) {
      this.#spawn(TRACE_MS);
      return;
    }
    const timer = setTimeout(() => this.#spawn(TRACE_MS), backoffMs(this.#deaths - 2, RESTART));
    this.#state = { kind: "waiting", timer };
  }
}
