import { Fault, type FaultCode } from "../base/fault.ts";
import { boundedFaultText } from "../base/fault-text.ts";
import type { RequestScope } from "../base/request-scope.ts";
import type { Spans } from "../base/spans.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import type {
  Envelope,
  FaultEnvelope,
  PingEnvelope,
  PongEnvelope,
  RequestEnvelope,
  ResponseEnvelope,
} from "./envelope.ts";
import { decodeFrame } from "./frame-codec.ts";
import type { FrameStream, FrameStreamEvents } from "./frame-stream.ts";
import { IncomingRequest } from "./incoming-request.ts";
import type { StreamLimits } from "./limits.ts";
import { type Handler, type Handlers, methodName } from "./method.ts";
import { Outbox } from "./outbox.ts";

export interface ResponderParts {
  readonly stream: FrameStream;
  readonly handlers: Handlers;
  readonly wheel: TimerWheel;
  readonly limits: StreamLimits;
  /** Time for a request that names none. Unit: ms. */
  readonly defaultTimeoutMs: number;
  /** What a request may ask for, where its sender is not trusted to know. Default: what it asks for. */
  readonly permitted?: (request: RequestEnvelope) => RequestEnvelope;
  /** What our pong says. */
  readonly pong: (ping: PingEnvelope) => Omit<PongEnvelope, "kind" | "nonce">;
  readonly events: ResponderEvents;
  /** Where handlers of requests that have an identity are run. */
  readonly scope?: RequestScope | undefined;
  readonly spans?: Spans | undefined;
}

export interface ResponderEvents {
  /** A handler failed in a way that its caller sees as INTERNAL only: `cause` is for the log. */
  handlerFailed(method: number, cause: unknown): void;
  /** A request is answered, or its answer is owed no more: by `code`, so long after it arrived. Told of those that were refused at once, too. */
  settled?(method: number, code: FaultCode | "OK", tookMs: number): void;
  /** The stream is over; every context of it is aborted. */
  closed?(fault: Fault): void;
}

/**
 * The answering end of an open stream: runs handlers and answers each request once. Give it to the stream's `listen`, or pass
 * it the stream's events.
 */
export class Responder implements FrameStreamEvents {
  readonly #parts: ResponderParts;
  readonly #outbox: Outbox<ResponseEnvelope | FaultEnvelope>;
  /** Requests whose answer is owed, by id. */
  readonly #owed = new Map<number, IncomingRequest>();
  /** Handlers at work, also those whose caller has given up: they hold memory until they end. */
  #running = 0;
  #runningBytes = 0;
  /** The far side sends no more: the stream ends with the last answer. */
  #finishing = false;
  #ended = false;

  constructor(parts: ResponderParts) {
    this.#parts = parts;
    this.#outbox = new Outbox({
      stream: parts.stream,
      isAlone: () => this.#owed.size === 0,
      emptied: () => this.#finishIfDone(),
    });
  }

  /** Handlers at work. */
  get running(): number {
    return this.#running;
  }

  /** Asks the far side to send no new requests and to end the stream once its answers are there. */
  goAway(reason: string): void {
    this.#outbox.pushUrgent({ kind: "goAway", reason }, Number.POSITIVE_INFINITY);
  }

  /** Ends the stream and aborts what runs. Idempotent. */
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
      this.close(new Fault("INVALID_ARGUMENT", "malformed frame", { cause }));
      return;
    }
    for (const envelope of envelopes) this.receive(envelope);
  }

  /** One envelope, where somebody else decodes the frames. What is not for the answering end is ignored. */
  receive(envelope: Envelope): void {
    if (this.#ended) return;
    if (envelope.kind === "request") this.#run(envelope);
    else if (envelope.kind === "cancel") this.#cancel(envelope.id);
    else if (envelope.kind === "ping") this.#pong(envelope);
  }

  drain(): void {
    this.#outbox.drain();
  }

  ended(): void {
    this.#finishing = true;
    this.#finishIfDone();
  }

  closed(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#outbox.close();
    const fault = new Fault("CANCELLED", "the caller's stream ended", { cause: error });
    for (const request of this.#owed.values()) {
      this.#parts.wheel.disarm(request);
      request.abort(fault);
      this.#tell(request, fault.code);
    }
    this.#owed.clear();
    this.#parts.events.closed?.(error instanceof Fault ? error : fault);
  }

  #run(envelope: RequestEnvelope): void {
    const { handlers, wheel, defaultTimeoutMs, limits, permitted, scope, spans } = this.#parts;
    const { id, method, body } = envelope;
    if (this.#owed.has(id)) {
      this.close(new Fault("INVALID_ARGUMENT", `request id ${id} is in flight already`));
      return;
    }
    const handler = handlers.get(method);
    if (handler === undefined) {
      this.#refuseAtOnce(envelope, new Fault("UNIMPLEMENTED", `method ${method} is not known here`));
      return;
    }
    if (this.#running >= limits.maxInFlight || this.#runningBytes + body.length > limits.maxInFlightBytes) {
      const { maxInFlight, maxInFlightBytes } = limits;
      const text = `${maxInFlight} requests or ${maxInFlightBytes} bytes of them run on this stream; try again later`;
      this.#refuseAtOnce(envelope, new Fault("RESOURCE_EXHAUSTED", text));
      return;
    }
    const timed = envelope.timeoutMs === 0 ? { ...envelope, timeoutMs: defaultTimeoutMs } : envelope;
    const request = new IncomingRequest(permitted?.(timed) ?? timed, wheel.now(), this.#expired);
    this.#owed.set(id, request);
    this.#running++;
    this.#runningBytes += request.bytes;
    wheel.arm(request, request.deadline);
    const span = spans?.begin(methodName(method), "server", request.identity);
    if (span) request.trace(span);
    if (scope && request.identity) scope.run(request.identity, () => this.#handle(handler, body, request));
    else this.#handle(handler, body, request);
  }

  #handle(handler: Handler, body: Uint8Array, request: IncomingRequest): void {
    try {
      handler(body, request).then(
        (result) => this.#settle(request, result),
        (error: unknown) => this.#settle(request, error),
      );
    } catch (error) {
      this.#settle(request, error);
    }
  }

  #settle(request: IncomingRequest, outcome: unknown): void {
    this.#running--;
    this.#runningBytes -= request.bytes;
    const owed = this.#owed.get(request.id) === request && this.#forget(request);
    if (outcome instanceof Uint8Array) {
      if (owed) this.#tell(request, this.#answer(request, outcome));
      return;
    }
    const fault = Fault.from(outcome);
    if (fault.code === "INTERNAL") this.#parts.events.handlerFailed(request.method, fault.cause ?? fault);
    if (owed) this.#tell(request, this.#refuse(request.id, fault));
  }

  #tell(request: IncomingRequest, code: FaultCode | "OK"): void {
    request.settled(code);
    this.#parts.events.settled?.(request.method, code, this.#parts.wheel.now() - request.arrivedMs);
  }

  #refuseAtOnce({ id, method }: RequestEnvelope, fault: Fault): void {
    this.#parts.events.settled?.(method, this.#refuse(id, fault), 0);
  }

  /** By which code the request was answered. */
  #answer({ id, method }: IncomingRequest, result: Uint8Array): FaultCode | "OK" {
    const { maxEnvelopeBytes, maxInFlightBytes } = this.#parts.limits;
    if (result.length > maxEnvelopeBytes) {
      const text = `an answer of ${result.length} bytes exceeds the limit of ${maxEnvelopeBytes}`;
      return this.#refuse(id, new Fault("RESOURCE_EXHAUSTED", text));
    }
    if (!this.#outbox.push({ kind: "response", id, method, result }, maxInFlightBytes)) {
      return this.#refuse(id, new Fault("RESOURCE_EXHAUSTED", "the answers to this stream are not read fast enough"));
    }
    return "OK";
  }

  /** Refusals still fit where answers do not, up to twice the bound: beyond it nobody reads at all. */
  #refuse(id: number, { code, message: text }: Fault): FaultCode {
    const message = boundedFaultText(text);
    if (!this.#outbox.push({ kind: "fault", id, code, message }, 2 * this.#parts.limits.maxInFlightBytes)) {
      this.close(new Fault("RESOURCE_EXHAUSTED", "the answers to this stream are not read"));
    }
    return code;
  }

  #pong(ping: PingEnvelope): void {
    const pong = { kind: "pong", nonce: ping.nonce, ...this.#parts.pong(ping) } as const;
    if (!this.#outbox.pushUrgent(pong, MAX_WAITING_PONGS)) {
      this.close(new Fault("RESOURCE_EXHAUSTED", "the pongs to this stream are not read"));
    }
  }

  #finishIfDone(): void {
    if (this.#ended || !this.#finishing || this.#owed.size > 0 || !this.#outbox.empty) return;
    this.#parts.stream.close();
    this.closed();
  }

  /** The answer is owed no longer; the handler goes on until it notices. */
  #cancel(id: number): void {
    const request = this.#owed.get(id);
    if (request === undefined) return;
    this.#forget(request);
    request.abort(new Fault("CANCELLED", "the caller cancelled"));
    this.#tell(request, "CANCELLED");
  }

  readonly #expired = (request: IncomingRequest): void => {
    const fault = new Fault("DEADLINE_EXCEEDED", "the deadline passed while it ran");
    this.#forget(request);
    request.abort(fault);
    this.#tell(request, this.#refuse(request.id, fault));
  };

  #forget(request: IncomingRequest): true {
    this.#parts.wheel.disarm(request);
    this.#owed.delete(request.id);
    return true;
  }
}

/** One ping a second is usual; a sender of this many in one go does not read. */
const MAX_WAITING_PONGS = 1024;
