import type { AbortListener, CallContext, CallSignal } from "../base/call-context.ts";
import { type Deadline, deadlineIn } from "../base/deadline.ts";
import type { Fault } from "../base/fault.ts";
import { Timer } from "../base/timer-wheel.ts";
import type { RequestEnvelope } from "./envelope.ts";

/** One request that a handler works on, and the context it gets; it is that context's signal itself. */
export class IncomingRequest extends Timer implements CallContext, CallSignal {
  readonly id: number;
  readonly method: number;
  readonly bytes: number;
  readonly depth: number;
  readonly deadline: Deadline;
  readonly #expired: (request: IncomingRequest) => void;
  /** Rarely more than one: what the call waits for. */
  #listeners: AbortListener[] = [];
  #abortedBy: Fault | undefined;

  constructor(
    { id, method, body, depth, timeoutMs }: RequestEnvelope,
    nowMs: number,
    expired: (request: IncomingRequest) => void,
  ) {
    super();
    this.id = id;
    this.method = method;
    this.bytes = body.length;
    this.depth = depth;
    this.deadline = deadlineIn(timeoutMs, nowMs);
    this.#expired = expired;
  }

  get signal(): CallSignal {
    return this;
  }

  get aborted(): boolean {
    return this.#abortedBy !== undefined;
  }

  get reason(): Fault | undefined {
    return this.#abortedBy;
  }

  addEventListener(_type: "abort", listener: AbortListener): void {
    this.#listeners.push(listener);
  }

  removeEventListener(_type: "abort", listener: AbortListener): void {
    const at = this.#listeners.indexOf(listener);
    if (at !== -1) this.#listeners.splice(at, 1);
  }

  abort(fault: Fault): void {
    if (this.#abortedBy !== undefined) return;
    this.#abortedBy = fault;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) {
      if (typeof listener === "function") listener();
      else listener.handleEvent();
    }
  }

  override expire(): void {
    this.#expired(this);
  }
}
