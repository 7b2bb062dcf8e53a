import type { CallContext } from "../base/call-context.ts";
import { remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { Timer, type TimerWheel } from "../base/timer-wheel.ts";
import type { Run } from "../functions/sandbox-port.ts";

/** A run until it is settled, which happens once: by its result, its deadline, its caller, or the end of the process. */
export class PendingRun extends Timer {
  readonly id: number;
  readonly run: Run;
  readonly context: CallContext;
  /** The process was told of it, and may have done something. */
  wasSent = false;
  readonly #settlement = Promise.withResolvers<Uint8Array>();
  readonly #wheel: TimerWheel;
  /** Called when it is settled from this side, before the process has answered. */
  readonly #onGivenUp: (run: PendingRun) => void;

  constructor(id: number, run: Run, context: CallContext, wheel: TimerWheel, onGivenUp: (run: PendingRun) => void) {
    super();
    this.id = id;
    this.run = run;
    this.context = context;
    this.#wheel = wheel;
    this.#onGivenUp = onGivenUp;
    wheel.arm(this, context.deadline);
    context.signal.addEventListener("abort", this);
  }

  get result(): Promise<Uint8Array> {
    return this.#settlement.promise;
  }

  get remainingMs(): number {
    return remainingMs(this.context.deadline);
  }

  succeed(result: Uint8Array): void {
    this.#release();
    this.#settlement.resolve(result);
  }

  fail(fault: Fault): void {
    this.#release();
    this.#settlement.reject(fault);
  }

  /** The deadline has passed. */
  override expire(): void {
    this.#onGivenUp(this);
    this.fail(new Fault("DEADLINE_EXCEEDED", "the call's deadline passed"));
  }

  /** The context's signal was aborted, be it by the caller or by its own watch on the deadline. */
  handleEvent(): void {
    if (this.remainingMs === 0) {
      this.expire();
    } else {
      this.#onGivenUp(this);
      this.fail(new Fault("CANCELLED", "the call was cancelled"));
    }
  }

  #release(): void {
    this.#wheel.disarm(this);
    this.context.signal.removeEventListener("abort", this);
  }
}
