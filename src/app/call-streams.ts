import { Fault } from "../base/fault.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import type { FrameStream } from "../mesh/frame-stream.ts";
import type { StreamLimits } from "../mesh/limits.ts";
import type { Handlers } from "../mesh/method.ts";
import { Responder } from "../mesh/responder.ts";
import { permittedRequest } from "./client-request.ts";

/** Clients own no slots. */
const NOTHING = new Uint8Array();

/** Streams that clients may have open at once. */
const MAX_STREAMS = 10_000;

export interface CallStreamsParts {
  readonly handlers: Handlers;
  readonly wheel: TimerWheel;
  readonly limits: StreamLimits;
  /** For a call that names no timeout. Unit: ms. */
  readonly defaultTimeoutMs: number;
  /** A longer timeout is cut to this. Unit: ms. */
  readonly maxTimeoutMs: number;
  readonly topologyHash: () => string;
  readonly handlerFailed: (method: number, cause: unknown) => void;
}

/** The call streams of clients. */
export class CallStreams {
  readonly #parts: CallStreamsParts;
  readonly #open = new Set<Responder>();

  constructor(parts: CallStreamsParts) {
    this.#parts = parts;
  }

  accept(stream: FrameStream): void {
    if (this.#open.size >= MAX_STREAMS) {
      stream.listen({ frame: () => undefined, drain: () => undefined, closed: () => undefined });
      stream.close(new Fault("RESOURCE_EXHAUSTED", `${MAX_STREAMS} call streams are open already; try again later`));
      return;
    }
    const responder: Responder = new Responder({
      ...this.#parts,
      stream,
      permitted: (request) => permittedRequest(request, this.#parts.maxTimeoutMs),
      pong: () => ({ topologyHash: this.#parts.topologyHash(), confirmation: NOTHING, nodeName: "" }),
      events: { handlerFailed: this.#parts.handlerFailed, closed: () => this.#open.delete(responder) },
    });
    this.#open.add(responder);
    stream.listen(responder);
  }

  /** Asks every client to send no new calls on its stream; those that run are answered. */
  goAway(reason: string): void {
    for (const responder of this.#open) responder.goAway(reason);
  }
}
