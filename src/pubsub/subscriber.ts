import { Fault } from "../base/fault.ts";
import { subscribeResponse } from "./pubsub-codec.ts";
import type { SubscriberQueue } from "./subscriber-queue.ts";

/** A subscription as whoever serves it sees it: it is told that there is news, and takes it as fast as its client reads. */
export interface Subscription {
  /** The next encoded `gearmesh.v1.SubscribeResponse`. Undefined: none yet, or no more once `ended` is set. */
  take(): Uint8Array | undefined;
  /** Why there will be no more than what can be taken. */
  readonly ended: Fault | undefined;
  /** Forgets it, with all that waits. Idempotent. */
  close(): void;
}

const NOTHING = new Uint8Array();
const SUBSCRIBED = subscribeResponse.encode({ subscribed: NOTHING, message: undefined, missed: undefined });

export interface SubscriberParts {
  readonly types: ReadonlySet<string>;
  readonly queue: SubscriberQueue;
  /** Called when something can be taken, or it has ended. Must not throw. */
  readonly news: () => void;
  /** Called once it is closed. */
  readonly closed: (subscriber: Subscriber) => void;
}

/** One subscriber on this node. What comes before its subscription stands everywhere waits behind the word that it does. */
export class Subscriber implements Subscription {
  readonly types: ReadonlySet<string>;
  readonly #parts: SubscriberParts;
  #greeting: "too-early" | "due" | "given" = "too-early";
  #ended: Fault | undefined;

  constructor(parts: SubscriberParts) {
    this.#parts = parts;
    this.types = parts.types;
  }

  get ended(): Fault | undefined {
    return this.#ended;
  }

  /** The subscription stands. */
  stand(): void {
    if (this.#greeting !== "too-early" || this.#ended) return;
    this.#greeting = "due";
    this.#parts.news();
  }

  /** Queues an encoded event; false where it was dropped. */
  offer(event: Uint8Array): boolean {
    const taken = this.#parts.queue.push(event);
    this.#parts.news();
    return taken;
  }

  /** A message was dropped before it came here. */
  miss(): void {
    this.#parts.queue.miss();
    this.#parts.news();
  }

  take(): Uint8Array | undefined {
    if (this.#greeting === "too-early") return undefined;
    if (this.#greeting === "due") {
      this.#greeting = "given";
      return SUBSCRIBED;
    }
    const taken = this.#parts.queue.take();
    if (!taken || "event" in taken) return taken?.event;
    const missed = { count: taken.missed, unknown: false };
    return subscribeResponse.encode({ subscribed: undefined, message: undefined, missed });
  }

  /** Nothing more comes; what waits can still be taken. */
  end(fault: Fault): void {
    this.#ended ??= fault;
    this.#parts.news();
  }

  close(): void {
    this.#ended ??= new Fault("CANCELLED", "the subscription was closed");
    this.#parts.queue.clear();
    this.#parts.closed(this);
  }
}
