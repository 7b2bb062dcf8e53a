import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { Timer, type TimerWheel } from "../base/timer-wheel.ts";
import type { PubSubPeer } from "./pubsub-parts.ts";

/** A message that waits until those before it are through, for as long as its time goes on. */
class WaitingMessage extends Timer {
  readonly body: Uint8Array;
  readonly context: CallContext;
  readonly answer = Promise.withResolvers<Uint8Array>();
  readonly #givenUp: (message: WaitingMessage, fault: Fault) => void;

  constructor(body: Uint8Array, context: CallContext, givenUp: (message: WaitingMessage, fault: Fault) => void) {
    super();
    this.body = body;
    this.context = context;
    this.#givenUp = givenUp;
  }

  override expire(): void {
    this.#givenUp(this, new Fault("DEADLINE_EXCEEDED", "the deadline passed before it was sent"));
  }

  /** The publisher has given up. */
  handleEvent(): void {
    this.#givenUp(this, new Fault("CANCELLED", "the caller cancelled"));
  }
}

/**
 * The way to one process, on which messages stay in order whatever link they take. Where a link is replaced, the one before and the new one carry at speeds of their own: a message that
 * overtook others would have the receiver leave those out. So what is to leave by the new one waits until all that left by the one before was answered, or is lost.
 */
export class PeerLane {
  readonly #peer: () => PubSubPeer | undefined;
  readonly #wheel: TimerWheel;
  /** By which those have left that are not answered. */
  #link: PubSubPeer | undefined;
  #inFlight = 0;
  /** In order. As many as may be published at once, and no more. */
  readonly #waiting = new Set<WaitingMessage>();

  /** `peer`: the link that is open now; the same one is the same object. */
  constructor(peer: () => PubSubPeer | undefined, wheel: TimerWheel) {
    this.#peer = peer;
    this.#wheel = wheel;
  }

  /** Sends an encoded DeliverPublishedRequest behind all that were sent before; resolves with the encoded response. Rejects as a request over the link does. */
  deliver(body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const mayLeave = this.#waiting.size === 0 && (this.#inFlight === 0 || this.#peer() === this.#link);
    if (mayLeave) return this.#send(body, context);
    if (context.signal.aborted) return Promise.reject(new Fault("CANCELLED", "the caller cancelled"));
    const message = new WaitingMessage(body, context, this.#givenUp);
    this.#waiting.add(message);
    this.#wheel.arm(message, context.deadline);
    context.signal.addEventListener("abort", message);
    return message.answer.promise;
  }

  async #send(body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const link = this.#peer();
    if (!link) throw new Fault("UNAVAILABLE", "no link to the node is open");
    this.#link = link;
    this.#inFlight++;
    try {
      return await link.request("deliverPublished", body, context);
    } finally {
      this.#inFlight--;
      if (this.#inFlight === 0) this.#letGo();
    }
  }

  /** All at once, so that none that comes meanwhile overtakes them. */
  #letGo(): void {
    for (const message of [...this.#waiting]) {
      this.#forget(message);
      message.answer.resolve(this.#send(message.body, message.context));
    }
  }

  readonly #givenUp = (message: WaitingMessage, fault: Fault): void => {
    this.#forget(message);
    message.answer.reject(fault);
  };

  #forget(message: WaitingMessage): void {
    this.#waiting.delete(message);
    this.#wheel.disarm(message);
    message.context.signal.removeEventListener("abort", message);
  }
}
