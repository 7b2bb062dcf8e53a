import type { CallSignal } from "../base/call-context.ts";
import type { RequestScope } from "../base/request-scope.ts";
import type { Spans } from "../base/spans.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import type { StreamCaller } from "../grpc/stream-caller.ts";
import type { FrameStream } from "../mesh/frame-stream.ts";
import type { StreamLimits } from "../mesh/limits.ts";
import type { Handlers } from "../mesh/method.ts";
import { Responder, type ResponderEvents } from "../mesh/responder.ts";
import { StreamRefused } from "../mesh/stream-refused.ts";
import { permittedRequest } from "./client-request.ts";

/** Clients own no slots. */
const NOTHING = new Uint8Array();

/** Streams that clients may have open at once. */
const MAX_STREAMS = 10_000;

export interface CallStreamsParts {
  /** What may be asked for on one stream, until that has ended. */
  readonly handlersFor: (ended: CallSignal) => Handlers;
  readonly wheel: TimerWheel;
  readonly limits: StreamLimits;
  /** For a call that names no timeout. Unit: ms. */
  readonly defaultTimeoutMs: number;
  /** A longer timeout is cut to this. Unit: ms. */
  readonly maxTimeoutMs: number;
  readonly topologyHash: () => string;
  readonly handlerFailed: ResponderEvents["handlerFailed"];
  readonly settled: NonNullable<ResponderEvents["settled"]>;
  readonly scope: RequestScope;
  readonly spans?: Spans;
}

/** The call streams of clients. */
export class CallStreams {
  readonly #parts: CallStreamsParts;
  readonly #open = new Set<Responder>();
  #sentAway: StreamRefused | undefined;

  constructor(parts: CallStreamsParts) {
    this.#parts = parts;
  }

  accept(stream: FrameStream, caller: StreamCaller): void {
    const refusal = this.#sentAway ?? (this.#open.size >= MAX_STREAMS ? tooMany() : undefined);
    if (refusal) {
      stream.listen({ frame: () => undefined, drain: () => undefined, closed: () => undefined });
      stream.close(refusal);
      return;
    }
    const ended = new AbortController();
    const responder: Responder = new Responder({
      ...this.#parts,
      handlers: this.#parts.handlersFor(ended.signal),
      stream,
      permitted: (request) => permittedRequest(request, caller, this.#parts.maxTimeoutMs),
      pong: () => ({ topologyHash: this.#parts.topologyHash(), confirmation: NOTHING, nodeName: "" }),
      events: {
        handlerFailed: this.#parts.handlerFailed,
        settled: this.#parts.settled,
        closed: () => {
          this.#open.delete(responder);
          ended.abort();
        },
      },
    });
    this.#open.add(responder);
    stream.listen(responder);
  }

  /** Takes no stream any more, and asks every client to send no new calls on its own; those that run are answered. */
  goAway(reason: string): void {
    this.#sentAway = new StreamRefused("UNAVAILABLE", reason);
    for (const responder of this.#open) responder.goAway(reason);
  }
}

function tooMany(): StreamRefused {
  return new StreamRefused("RESOURCE_EXHAUSTED", `${MAX_STREAMS} call streams are open already; try again later`);
}
