import { AbortListeners } from "../base/abort-listeners.ts";
import type { AbortListener, CallContext, CallSignal } from "../base/call-context.ts";
import { type Deadline, deadlineIn } from "../base/deadline.ts";
import type { Fault, FaultCode } from "../base/fault.ts";
import type { RequestIdentity } from "../base/request-identity.ts";
import type { Span } from "../base/spans.ts";
import { Timer } from "../base/timer-wheel.ts";
import type { RequestEnvelope } from "./envelope.ts";

/** One request that a handler works on, and the context it gets; it is that context's signal itself. */
export class IncomingRequest extends Timer implements CallContext, CallSignal {
  readonly id: number;
  readonly method: number;
  readonly bytes: number;
  readonly depth: number;
  readonly isAdmin: boolean | undefined;
  /** Its own; that of its span, once that has begun. */
  identity: RequestIdentity | undefined;
  #span: Span | undefined;
  /** On the monotonic clock. */
  readonly arrivedMs: number;
  readonly deadline: Deadline;
  readonly #expired: (request: IncomingRequest) => void;
  readonly #listeners = new AbortListeners();
  #abortedBy: Fault | undefined;

  constructor(
    { id, method, body, depth, identity, isAdmin, timeoutMs }: RequestEnvelope,
    nowMs: number,
    expired: (request: IncomingRequest) => void,
  ) {
    super();
    this.id = id;
    this.method = method;
    this.bytes = body.length;
    this.depth = depth;
    this.identity = identity;
    this.isAdmin = isAdmin;
    this.arrivedMs = nowMs;
    this.deadline = deadlineIn(timeoutMs, nowMs);
    this.#expired = expired;
  }

  /** The request is a step of a trace from now on: whatever it leads to belongs to that. */
  trace(span: Span): void {
    this.#span = span;
    this.identity = span.identity;
  }

  /** It was answered, or its answer is owed no more. */
  settled(code: FaultCode | "OK"): void {
    this.#span?.end(code);
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
    this.#listeners.add(listener);
  }

  removeEventListener(_type: "abort", listener: AbortListener): void {
    this.#listeners.remove(listener);
  }

  abort(fault: Fault): void {
    if (this.#abortedBy !== undefined) return;
    this.#abortedBy = fault;
    this.#listeners.tell();
  }

  override expire(): void {
    this.#expired(this);
  }
}
