import { Fault } from "../base/fault.ts";
import type { Envelope } from "./envelope.ts";
import { decodeFrame } from "./frame-codec.ts";
import type { FrameStreamEvents } from "./frame-stream.ts";
import type { Requester } from "./requester.ts";
import type { Responder } from "./responder.ts";

export interface DuplexParts {
  readonly requester: Requester;
  readonly responder: Responder;
  /** Envelopes that belong to no request. */
  readonly other: (envelope: Envelope) => void;
  /** The stream takes frames again. */
  readonly drained: () => void;
}

/** Both ends ask and both answer on one stream. Give it to the stream's `listen`; each end's ids are its own. */
export class Duplex implements FrameStreamEvents {
  readonly #parts: DuplexParts;

  constructor(parts: DuplexParts) {
    this.#parts = parts;
  }

  frame(bytes: Uint8Array): void {
    let envelopes: Envelope[];
    try {
      envelopes = decodeFrame(bytes);
    } catch (cause) {
      this.close(new Fault("INVALID_ARGUMENT", "malformed frame", { cause }));
      return;
    }
    for (const envelope of envelopes) this.#receive(envelope);
  }

  drain(): void {
    const { requester, responder, drained } = this.#parts;
    requester.drain();
    responder.drain();
    drained();
  }

  /** The far side sends no more, so it answers no more either. */
  ended(): void {
    const { requester, responder } = this.#parts;
    requester.closed(new Fault("UNAVAILABLE", "the far side has ended its stream"));
    responder.ended();
  }

  closed(error?: Error): void {
    const { requester, responder } = this.#parts;
    requester.closed(error);
    responder.closed(error);
  }

  /** Ends the stream and whatever runs on it. Idempotent. */
  close(fault: Fault): void {
    const { requester, responder } = this.#parts;
    responder.close(fault);
    requester.close(fault);
  }

  #receive(envelope: Envelope): void {
    const { requester, responder, other } = this.#parts;
    switch (envelope.kind) {
      case "response":
      case "fault":
      case "pong":
      case "goAway":
        requester.receive(envelope);
        break;
      case "request":
      case "cancel":
      case "ping":
        responder.receive(envelope);
        break;
      default:
        other(envelope);
    }
  }
}
