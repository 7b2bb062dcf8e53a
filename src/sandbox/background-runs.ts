import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { Timer, type TimerWheel } from "../base/timer-wheel.ts";
import type { Run } from "../functions/sandbox-port.ts";
import type { PendingRun } from "./pending-run.ts";

/**
 * A run that has background work: it goes on after its result, until its deadline. Its remote calls get a signal of its own, since a
 * caller's is aborted, by gRPC for one, as soon as the caller has its answer.
 */
class BackgroundRun extends Timer {
  readonly run: Run;
  readonly context: CallContext;
  readonly #cancelled = new AbortController();
  readonly #onExpired: () => void;

  constructor({ run, context }: PendingRun, onExpired: () => void) {
    super();
    this.run = run;
    this.context = { ...context, signal: this.#cancelled.signal };
    this.#onExpired = onExpired;
  }

  cancel(reason: Fault): void {
    this.#cancelled.abort(reason);
  }

  override expire(): void {
    this.#onExpired();
  }
}

/** The runs that have or had background work, by id, from when it began until they are over. */
export class BackgroundRuns {
  readonly #wheel: TimerWheel;
  /** Told of a run whose deadline passed; it is gone by then. */
  readonly #onExpired: (id: number) => void;
  readonly #runs = new Map<number, BackgroundRun>();

  constructor(wheel: TimerWheel, onExpired: (id: number) => void) {
    this.#wheel = wheel;
    this.#onExpired = onExpired;
  }

  get size(): number {
    return this.#runs.size;
  }

  get(id: number): Pick<PendingRun, "run" | "context"> | undefined {
    return this.#runs.get(id);
  }

  /** Idempotent. */
  begin(pending: PendingRun): void {
    const { id } = pending;
    if (this.#runs.has(id)) return;
    const background = new BackgroundRun(pending, () => {
      this.cancel(id, new Fault("DEADLINE_EXCEEDED", "the call's deadline passed"));
      this.#onExpired(id);
    });
    this.#runs.set(id, background);
    this.#wheel.arm(background, pending.context.deadline);
  }

  /** It is over by itself. Idempotent. */
  drop(id: number): void {
    const background = this.#runs.get(id);
    if (!background) return;
    this.#runs.delete(id);
    this.#wheel.disarm(background);
  }

  /** Ends its remote calls, too. Idempotent. */
  cancel(id: number, reason = new Fault("CANCELLED", "the background work was cancelled")): void {
    const background = this.#runs.get(id);
    this.drop(id);
    background?.cancel(reason);
  }

  cancelVersion(hash: string): void {
    for (const [id, { run }] of this.#runs) if (run.hash === hash) this.cancel(id);
  }

  cancelAll(): void {
    for (const id of this.#runs.keys()) this.cancel(id);
  }
}
