import { Fault } from "../base/fault.ts";
import type { Timer, TimerWheel } from "../base/timer-wheel.ts";
import type { Envelope } from "./envelope.ts";
import { decodeFrame, encodeFrame } from "./frame-codec.ts";
import type { FrameStream, FrameStreamEvents } from "./frame-stream.ts";
import type { HandshakeStep, RemoteEnd } from "./handshake.ts";
import { MAX_HANDSHAKE_FRAME_BYTES } from "./limits.ts";

export interface AuthenticationParts {
  readonly stream: FrameStream;
  /** The rules of this end. */
  readonly handshake: { receive(envelope: Envelope): HandshakeStep };
  readonly wheel: TimerWheel;
  /** Longest it may take, connecting included. Unit: ms. */
  readonly timeoutMs: number;
  readonly proven: (remote: RemoteEnd) => void;
  /** No link: the stream is closed. */
  readonly failed: (fault: Fault) => void;
}

/** The first stage of a stream: it lets exactly the handshake's envelopes through, one to a frame and within a time. */
export class Authentication implements FrameStreamEvents {
  readonly #parts: AuthenticationParts;
  readonly #timer: Timer;
  #heard = false;
  #over = false;

  constructor(parts: AuthenticationParts) {
    this.#parts = parts;
    this.#timer = parts.wheel.after(parts.timeoutMs, () => this.#expire());
  }

  /** Whether the other end has said anything yet. */
  get heard(): boolean {
    return this.#heard;
  }

  frame(bytes: Uint8Array): void {
    if (this.#over) return;
    this.#heard = true;
    let step: HandshakeStep;
    try {
      step = this.#parts.handshake.receive(onlyEnvelope(bytes));
    } catch (error) {
      this.close(Fault.from(error));
      return;
    }
    if (step.send !== undefined) this.#parts.stream.send(encodeFrame([step.send]));
    if (step.done) {
      this.#end();
      this.#parts.proven(step.remote);
    }
  }

  drain(): void {
    // A handshake's few bytes are sent without regard to it.
  }

  ended(): void {
    this.close(new Fault("UNAUTHENTICATED", "the stream ended during the handshake"));
  }

  /** Idempotent. */
  close(fault: Fault): void {
    if (this.#over) return;
    this.#parts.stream.close(fault);
    this.closed(fault);
  }

  closed(error?: Error): void {
    if (this.#over) return;
    this.#end();
    const { failed } = this.#parts;
    failed(
      error instanceof Fault
        ? error
        : new Fault("UNAVAILABLE", "the stream ended during the handshake", { cause: error }),
    );
  }

  #end(): void {
    this.#over = true;
    this.#parts.wheel.disarm(this.#timer);
  }

  #expire(): void {
    const { timeoutMs, stream } = this.#parts;
    this.close(
      this.#heard
        ? new Fault("UNAUTHENTICATED", `the handshake took longer than ${timeoutMs} ms`)
        : new Fault("UNAVAILABLE", `nothing came from ${stream.remoteAddress} within ${timeoutMs} ms`),
    );
  }
}

function onlyEnvelope(frame: Uint8Array): Envelope {
  if (frame.length > MAX_HANDSHAKE_FRAME_BYTES)
    throw new Fault("UNAUTHENTICATED", "a frame of the handshake is too large");
  let envelopes: Envelope[];
  try {
    envelopes = decodeFrame(frame);
  } catch (cause) {
    throw new Fault("UNAUTHENTICATED", "a frame of the handshake is malformed", { cause });
  }
  const [envelope] = envelopes;
  if (envelope === undefined || envelopes.length > 1) {
    throw new Fault("UNAUTHENTICATED", "a frame of the handshake must hold one envelope");
  }
  return envelope;
}
