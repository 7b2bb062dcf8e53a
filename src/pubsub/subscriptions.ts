import { Fault } from "../base/fault.ts";
import { MAX_NODE_TYPES } from "./message-types.ts";
import { subscribeResponse } from "./pubsub-codec.ts";
import type { Subscriber } from "./subscriber.ts";

export interface SubscriptionsParts {
  readonly maxSubscriptions: number;
  /** These types have got their first subscriber, or lost their last one. */
  readonly changed: (types: readonly string[]) => void;
}

/** The subscribers of this node by message type. */
export class Subscriptions {
  readonly #parts: SubscriptionsParts;
  readonly #all = new Set<Subscriber>();
  readonly #byType = new Map<string, Set<Subscriber>>();

  constructor(parts: SubscriptionsParts) {
    this.#parts = parts;
  }

  get count(): number {
    return this.#all.size;
  }

  /** How many types have a subscriber. */
  get typeCount(): number {
    return this.#byType.size;
  }

  /** Types that have a subscriber. */
  types(): string[] {
    return [...this.#byType.keys()];
  }

  has(messageType: string): boolean {
    return this.#byType.has(messageType);
  }

  subscribers(): Subscriber[] {
    return [...this.#all];
  }

  /** Throws RESOURCE_EXHAUSTED. */
  add(subscriber: Subscriber): void {
    const { maxSubscriptions, changed } = this.#parts;
    if (this.#all.size >= maxSubscriptions) {
      throw new Fault("RESOURCE_EXHAUSTED", `${maxSubscriptions} subscriptions are open here already`);
    }
    const fresh = [...subscriber.types].filter((messageType) => !this.#byType.has(messageType));
    if (this.#byType.size + fresh.length > MAX_NODE_TYPES) {
      throw new Fault("RESOURCE_EXHAUSTED", `${MAX_NODE_TYPES} message types have subscribers here already`);
    }
    this.#all.add(subscriber);
    for (const messageType of fresh) this.#byType.set(messageType, new Set());
    for (const messageType of subscriber.types) this.#byType.get(messageType)?.add(subscriber);
    changed(fresh);
  }

  /** False: it was not there. */
  remove(subscriber: Subscriber): boolean {
    if (!this.#all.delete(subscriber)) return false;
    const left: string[] = [];
    for (const messageType of subscriber.types) {
      const subscribers = this.#byType.get(messageType);
      subscribers?.delete(subscriber);
      if (subscribers?.size !== 0) continue;
      this.#byType.delete(messageType);
      left.push(messageType);
    }
    this.#parts.changed(left);
    return true;
  }

  /** Gives an encoded PublishedMessage to whoever subscribed to its type: how many took it, and how many dropped it. */
  deliver(messageType: string, message: Uint8Array): { readonly delivered: number; readonly missed: number } {
    const subscribers = this.#byType.get(messageType);
    if (!subscribers) return { delivered: 0, missed: 0 };
    // One event for all of them, and a copy: the message may be a view into a frame, which a queue must not keep.
    const event = subscribeResponse.encode({ subscribed: undefined, message, missed: undefined });
    let delivered = 0;
    let missed = 0;
    for (const subscriber of subscribers) {
      if (subscriber.offer(event)) delivered++;
      else missed++;
    }
    return { delivered, missed };
  }

  /** A message of this type is dropped before it comes to them: how many are told so. */
  miss(messageType: string): number {
    const subscribers = this.#byType.get(messageType) ?? [];
    let missed = 0;
    for (const subscriber of subscribers) {
      subscriber.miss();
      missed++;
    }
    return missed;
  }
}
