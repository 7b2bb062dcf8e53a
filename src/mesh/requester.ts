import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { boundedFaultText } from "../base/fault-text.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import { Correlator, type PendingRequest } from "./correlator.ts";
import type { Envelope, PingEnvelope, PongEnvelope } from "./envelope.ts";
import { decodeFrame } from "./frame-codec.ts";
import type { FrameStream, FrameStreamEvents } from "./frame-stream.ts";
import type { StreamLimits } from "./limits.ts";
import type { Peer } from "./method.ts";
import { Outbox } from "./outbox.ts";
import { StreamRefused } from "./stream-refused.ts";

export interface RequesterParts {
  /** Whom the stream leads to. */
  readonly nodeId: string;
  readonly stream: FrameStream;
  readonly wheel: TimerWheel;
  readonly limits: StreamLimits;
  /** What a fault that the far side answered is to its caller, where the far side may not choose any code. Default: what it says. */
  readonly received?: (fault: Fault) => Fault;
  /** Whether requests say that whoever asks has the scope `admin`: where the far side takes our word for it. Default: they do not. */
  readonly saysWhoIsAdmin?: boolean;
  readonly events: RequesterEvents;
}

export interface RequesterEvents {
  /** The far side is alive. */
  pong?(pong: PongEnvelope): void;
  /** The far side takes no new requests. */
  goAway?(reason: string): void;
  /** The stream is over; every request of it is settled. */
  closed(fault: Fault): void;
}

/**
 * The asking end of an open stream: sends requests and settles them by what comes back. Give it to the stream's `listen`, or
 * pass it the stream's events.
 */
export class Requester implements Peer, FrameStreamEvents {
  readonly nodeId: string;
  readonly #parts: RequesterParts;
  readonly #correlator: Correlator;
  readonly #outbox: Outbox<PendingRequest>;
  /** Why no new request is taken. */
  #refusal: string | undefined;
  #ended = false;

  constructor(parts: RequesterParts) {
    const { nodeId, stream, wheel, limits, received, saysWhoIsAdmin } = parts;
    this.nodeId = nodeId;
    this.#parts = parts;
    this.#outbox = new Outbox({
      stream,
      isAlone: () => this.#correlator.inFlight <= 1,
      departing: (pending) => pending.depart(wheel.now()),
    });
    const abandoned = (pending: PendingRequest): void => this.#abandoned(pending);
    this.#correlator = new Correlator({ ...limits, wheel, abandoned, received, saysWhoIsAdmin });
  }

  get inFlight(): number {
    return this.#correlator.inFlight;
  }

  /** Of requests that have not left yet: the far side does not read. */
  get waitingBytes(): number {
    return this.#outbox.waitingBytes;
  }

  request(method: number, body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const { maxEnvelopeBytes } = this.#parts.limits;
    if (this.#refusal !== undefined) {
      return Promise.reject(new Fault("UNAVAILABLE", `the request was not sent: ${this.#refusal}`));
    }
    if (body.length > maxEnvelopeBytes) {
      const text = `a request of ${body.length} bytes exceeds the limit of ${maxEnvelopeBytes}`;
      return Promise.reject(new Fault("RESOURCE_EXHAUSTED", text));
    }
    let pending: PendingRequest;
    try {
      pending = this.#correlator.open(method, body, context);
    } catch (fault) {
      return Promise.reject(fault);
    }
    // The correlator's bounds hold for what waits here too.
    this.#outbox.push(pending, Number.POSITIVE_INFINITY);
    return pending.promise;
  }

  /** Asks for a sign of life; the pong has the same nonce. */
  ping(ping: Omit<PingEnvelope, "kind">): void {
    this.#outbox.pushUrgent({ kind: "ping", ...ping }, Number.POSITIVE_INFINITY);
  }

  /** Says that every delivery up to this one has arrived. */
  acknowledge(sequence: number): void {
    this.#outbox.pushUrgent({ kind: "received", sequence }, Number.POSITIVE_INFINITY);
  }

  /** Takes no new request, tells the far side so, and ends the stream once those in flight are settled. */
  retire(reason: string): void {
    this.#refusal ??= reason;
    this.#outbox.pushUrgent({ kind: "goAway", reason }, Number.POSITIVE_INFINITY);
    this.#correlator.whenIdle(() => {
      if (this.#ended) return;
      this.#parts.stream.close();
      this.closed(new Fault("UNAVAILABLE", reason));
    });
  }

  /** Ends the stream and settles every request. Idempotent. */
  close(fault: Fault): void {
    if (this.#ended) return;
    this.#parts.stream.close(fault);
    this.closed(fault);
  }

  frame(bytes: Uint8Array): void {
    let envelopes: Envelope[];
    try {
      envelopes = decodeFrame(bytes);
    } catch (cause) {
      this.close(new Fault("INVALID_ARGUMENT", "the far side sent a malformed frame", { cause }));
      return;
    }
    for (const envelope of envelopes) this.receive(envelope);
  }

  /** One envelope, where somebody else decodes the frames. What is not for the asking end is ignored. */
  receive(envelope: Envelope): void {
    switch (envelope.kind) {
      case "response":
      case "fault":
        this.#correlator.answer(envelope);
        break;
      case "pong":
        this.#parts.events.pong?.(envelope);
        break;
      case "goAway":
        this.#refusal ??= boundedFaultText(`the far side takes no new requests (${envelope.reason})`);
        this.#parts.events.goAway?.(envelope.reason);
        break;
    }
  }

  drain(): void {
    this.#outbox.drain();
  }

  closed(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    const fault = error instanceof Fault ? error : new Fault("UNAVAILABLE", "the stream ended", { cause: error });
    this.#refusal = `the link was lost (${fault.message})`;
    this.#outbox.close();
    if (fault instanceof StreamRefused) this.#correlator.refuseAll(fault);
    else this.#correlator.failAll(this.#refusal);
    this.#parts.events.closed(fault);
  }

  /** No bound is needed: at most one cancel for each request that left. */
  #abandoned(pending: PendingRequest): void {
    if (this.#outbox.withdraw(pending)) return;
    this.#outbox.pushUrgent({ kind: "cancel", id: pending.id }, Number.POSITIVE_INFINITY);
  }
}
