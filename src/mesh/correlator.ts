import type { CallContext, CallSignal } from "../base/call-context.ts";
import { type Deadline, remainingMs } from "../base/deadline.ts";
import { Fault, isFaultCode } from "../base/fault.ts";
import { boundedFaultText } from "../base/fault-text.ts";
import type { RequestIdentity } from "../base/request-identity.ts";
import { Timer, type TimerWheel } from "../base/timer-wheel.ts";
import type { FaultEnvelope, RequestEnvelope, ResponseEnvelope } from "./envelope.ts";

const MAX_UINT32 = 0xffff_ffff;

/**
 * One request that waits for its answer, and at the same time its envelope: a call costs one object here. It is its own timer
 * and its own abort listener for the same reason.
 */
export class PendingRequest extends Timer implements RequestEnvelope {
  readonly kind = "request";
  readonly id: number;
  readonly method: number;
  readonly body: Uint8Array;
  readonly depth: number;
  readonly identity: RequestIdentity | undefined;
  readonly isAdmin: boolean;
  timeoutMs = 0;
  /** Whether it left: only then can the far side have acted on it. */
  sent = false;
  readonly promise: Promise<Uint8Array>;
  readonly resolve: (result: Uint8Array) => void;
  readonly reject: (fault: Fault) => void;
  readonly deadline: Deadline;
  readonly signal: CallSignal;
  readonly #end: (pending: PendingRequest, fault: Fault) => void;

  constructor(
    id: number,
    method: number,
    body: Uint8Array,
    context: CallContext,
    saysWhoIsAdmin: boolean,
    end: (pending: PendingRequest, fault: Fault) => void,
  ) {
    super();
    this.id = id;
    this.method = method;
    this.body = body;
    this.depth = context.depth;
    this.identity = context.identity;
    this.isAdmin = saysWhoIsAdmin && context.isAdmin === true;
    this.deadline = context.deadline;
    this.signal = context.signal;
    this.#end = end;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.promise = promise;
    this.resolve = resolve;
    this.reject = reject;
  }

  /** It is about to be sent. What is left of its time is written now: it may have waited in the queue. */
  depart(nowMs: number): void {
    this.sent = true;
    this.timeoutMs = Math.min(MAX_UINT32, Math.max(1, Math.ceil(remainingMs(this.deadline, nowMs))));
  }

  override expire(): void {
    this.#end(this, new Fault("DEADLINE_EXCEEDED", "no answer came before the deadline"));
  }

  handleEvent(): void {
    this.#end(this, abortFault(this.signal));
  }
}

export interface CorrelatorParts {
  readonly wheel: TimerWheel;
  readonly maxInFlight: number;
  /** Bound on the bodies of requests in flight. Unit: bytes. */
  readonly maxInFlightBytes: number;
  /** Its caller has given the request up: take it from the queue, or tell the far side. */
  readonly abandoned: (pending: PendingRequest) => void;
  /** See RequesterParts. */
  readonly received?: ((fault: Fault) => Fault) | undefined;
  /** See RequesterParts. */
  readonly saysWhoIsAdmin?: boolean | undefined;
}

/**
 * The requests of one stream that wait for their answer. Each is settled exactly once: by its answer, its deadline, its
 * caller's cancellation or the loss of the stream, whichever comes first; what comes later finds nothing to settle.
 */
export class Correlator {
  readonly #parts: CorrelatorParts;
  readonly #pending = new Map<number, PendingRequest>();
  #bytes = 0;
  #lastId = 0;
  #idle: (() => void) | undefined;

  constructor(parts: CorrelatorParts) {
    this.#parts = parts;
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  /** Throws a Fault: RESOURCE_EXHAUSTED at a bound, DEADLINE_EXCEEDED or CANCELLED where the context is over. */
  open(method: number, body: Uint8Array, context: CallContext): PendingRequest {
    const { wheel, maxInFlight, maxInFlightBytes, saysWhoIsAdmin = false } = this.#parts;
    if (context.signal.aborted) throw abortFault(context.signal);
    if (context.deadline <= wheel.now()) throw new Fault("DEADLINE_EXCEEDED", "the deadline passed before it was sent");
    if (this.#pending.size >= maxInFlight) {
      throw new Fault("RESOURCE_EXHAUSTED", `${maxInFlight} requests wait for an answer already; try again later`);
    }
    if (this.#bytes + body.length > maxInFlightBytes) {
      throw new Fault(
        "RESOURCE_EXHAUSTED",
        `${maxInFlightBytes} bytes of requests wait for an answer; try again later`,
      );
    }
    const pending = new PendingRequest(++this.#lastId, method, body, context, saysWhoIsAdmin, this.#abandon);
    this.#pending.set(pending.id, pending);
    this.#bytes += body.length;
    wheel.arm(pending, context.deadline);
    context.signal.addEventListener("abort", pending);
    return pending;
  }

  /** Settles the request that an answer belongs to. One that came too late is dropped. */
  answer(envelope: ResponseEnvelope | FaultEnvelope): void {
    const pending = this.#pending.get(envelope.id);
    if (pending === undefined) return;
    if (envelope.kind === "fault") {
      this.#settle(pending);
      const fault = receivedFault(envelope);
      pending.reject(this.#parts.received?.(fault) ?? fault);
    } else if (envelope.method === pending.method) {
      this.#settle(pending);
      pending.resolve(envelope.result);
    } else {
      this.#settle(pending);
      pending.reject(new Fault("INTERNAL", `request ${pending.method} got an answer of kind ${envelope.method}`));
    }
  }

  /** The far side has taken none of them, for this reason. */
  refuseAll({ code, message }: Fault): void {
    for (const pending of [...this.#pending.values()]) {
      this.#settle(pending);
      pending.reject(new Fault(code, message));
    }
  }

  /** The stream is gone: what was sent may have run, what was not cannot have. */
  failAll(reason: string): void {
    for (const pending of [...this.#pending.values()]) {
      this.#settle(pending);
      pending.reject(
        pending.sent
          ? new Fault("INDETERMINATE", `the request was sent, then ${reason}: it may or may not have run`)
          : new Fault("UNAVAILABLE", `the request was not sent: ${reason}`),
      );
    }
  }

  /** Runs `callback` once, as soon as nothing is in flight. */
  whenIdle(callback: () => void): void {
    if (this.#pending.size === 0) callback();
    else this.#idle = callback;
  }

  readonly #abandon = (pending: PendingRequest, fault: Fault): void => {
    this.#settle(pending);
    this.#parts.abandoned(pending);
    pending.reject(fault);
  };

  #settle(pending: PendingRequest): void {
    this.#pending.delete(pending.id);
    this.#bytes -= pending.body.length;
    this.#parts.wheel.disarm(pending);
    pending.signal.removeEventListener("abort", pending);
    if (this.#idle !== undefined && this.#pending.size === 0) {
      const idle = this.#idle;
      this.#idle = undefined;
      idle();
    }
  }
}

function abortFault(signal: CallSignal): Fault {
  const reason: unknown = signal.reason;
  return reason instanceof Fault ? reason : new Fault("CANCELLED", "the caller cancelled", { cause: reason });
}

/** A code of a newer release is not known here; its text still is. Cut, since it may come from a client and goes on to others. */
function receivedFault({ code, message }: FaultEnvelope): Fault {
  return isFaultCode(code)
    ? new Fault(code, boundedFaultText(message))
    : new Fault("INTERNAL", boundedFaultText(`${code}: ${message}`));
}
