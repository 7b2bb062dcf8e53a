import type { CallContext } from "../base/call-context.ts";
import { deadlineIn } from "../base/deadline.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import { QueueBudget } from "../base/queue-budget.ts";
import { InterestAnnouncer } from "./interest-announcer.ts";
import { checkedMessageTypes } from "./message-types.ts";
import { PeerInterest } from "./peer-interest.ts";
import { PeerRoutes } from "./peer-routes.ts";
import { Publisher, type Reach } from "./publisher.ts";
import {
  deliverPublishedRequest,
  deliverPublishedResponse,
  publishedMessage,
  publishRequest,
  publishResponse,
  subscribeRequest,
  syncInterestRequest,
} from "./pubsub-codec.ts";
import type { PubSubCounts, PubSubParts } from "./pubsub-parts.ts";
import { Subscriber, type Subscription } from "./subscriber.ts";
import { SubscriberQueue } from "./subscriber-queue.ts";
import { Subscriptions } from "./subscriptions.ts";

const NOTHING = new Uint8Array();

/** Longest that a peer which tells its interest waits for our link to it. Shorter than what it waits for our answer. Unit: ms. */
const ROUTE_TIMEOUT_MS = 2000;

/** Messages by type, from any publisher to the subscribers on every node, over links to the nodes that have some. At most once. */
export class PubSub {
  readonly #parts: PubSubParts;
  readonly #subscriptions: Subscriptions;
  readonly #interest = new PeerInterest();
  readonly #announcer: InterestAnnouncer;
  readonly #routes: PeerRoutes;
  readonly #publisher: Publisher;
  readonly #budget: QueueBudget;
  #closed: Fault | undefined;

  constructor(parts: PubSubParts) {
    const { limits } = parts;
    this.#parts = parts;
    this.#budget = new QueueBudget(limits.maxQueuedBytes);
    this.#subscriptions = new Subscriptions({
      maxSubscriptions: limits.maxSubscriptions,
      changed: (types) => this.#announcer.changed(types),
    });
    this.#announcer = new InterestAnnouncer({ ...parts, source: this.#subscriptions });
    this.#routes = new PeerRoutes({ ...parts, isLinkedToUs: (runId) => this.#interest.knows(runId) });
    this.#publisher = new Publisher({
      ...parts,
      interest: this.#interest,
      routes: this.#routes,
      deliverHere: (messageType, message) => this.#deliver(messageType, message),
    });
  }

  get counts(): PubSubCounts {
    const { count, typeCount } = this.#subscriptions;
    const { bytes } = this.#budget;
    return { subscriptions: count, types: typeCount, peerTypes: this.#interest.typeCount, queuedBytes: bytes };
  }

  /** Publishes an encoded Payload to the subscribers of a type on every node, this one included. See Publisher for what it rejects with. */
  publish(messageType: string, payload: Uint8Array, context: CallContext): Promise<Reach> {
    return this.#publisher.publish(messageType, payload, context);
  }

  /** The same of an encoded PublishRequest, for clients; resolves with the encoded PublishResponse. */
  async publishFromClient(body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const { messageType, payload = NOTHING } = decodeRequest((bytes) => publishRequest.decode(bytes), body);
    return publishResponse.encode(await this.publish(messageType, payload, context));
  }

  /**
   * Opens what an encoded SubscribeRequest asks for. `news` is called when something can be taken; it must not throw. Throws INVALID_ARGUMENT, RESOURCE_EXHAUSTED, and UNAVAILABLE
   * once this is closed.
   */
  subscribe(body: Uint8Array, news: () => void): Subscription {
    if (this.#closed) throw this.#closed;
    const { messageTypes } = decodeRequest((bytes) => subscribeRequest.decode(bytes), body);
    const subscriber = new Subscriber({
      types: checkedMessageTypes(messageTypes),
      queue: new SubscriberQueue(this.#parts.limits.queue, this.#budget),
      news,
      closed: (closed) => this.#subscriptions.remove(closed),
    });
    this.#subscriptions.add(subscriber);
    void this.#announcer.announced().then(() => subscriber.stand());
    return subscriber;
  }

  /** A peer's message for the subscribers here. */
  async deliverFromPeer(body: Uint8Array): Promise<Uint8Array> {
    const { message, messageType, runId, sequence } = decodeRequest((bytes) => {
      const { message = NOTHING, ...sender } = deliverPublishedRequest.decode(bytes);
      return { message, messageType: publishedMessage.decode(message).messageType, ...sender };
    }, body);
    this.#parts.observer.received();
    if (this.#interest.isInOrder(runId, sequence)) {
      return deliverPublishedResponse.encode({ subscribers: this.#deliver(messageType, message) });
    }
    this.#parts.observer.missed(this.#subscriptions.miss(messageType));
    return deliverPublishedResponse.encode({ subscribers: 0 });
  }

  /**
   * A peer tells which types it has subscribers for. It is answered once messages can leave for it: after a restart its link to us may be open before ours to it, and its
   * subscribers are about to be told that they miss nothing from now on.
   */
  async syncInterestFromPeer(body: Uint8Array): Promise<Uint8Array> {
    const change = decodeRequest((bytes) => syncInterestRequest.decode(bytes), body);
    this.#interest.apply(change);
    await this.#routes.opened(change.runId, deadlineIn(ROUTE_TIMEOUT_MS, this.#parts.wheel.now()));
    return NOTHING;
  }

  /** Our link to a node has opened, or was replaced. It leads to the process `runId`. */
  linkOpened(nodeId: string, runId: string): void {
    this.#routes.linkOpened(nodeId, runId);
    this.#announcer.linkOpened(nodeId);
  }

  /** A process has opened a link to us; before any request of it. */
  peerLinked(runId: string): void {
    this.#interest.linked(runId);
  }

  /** A link to us has ended; once for each. */
  peerUnlinked(runId: string): void {
    this.#interest.unlinked(runId);
  }

  /** Takes no more subscriptions and ends those that are open, once what waits for them was taken. Idempotent. */
  close(reason: string): void {
    this.#closed ??= new Fault("UNAVAILABLE", reason);
    for (const subscriber of this.#subscriptions.subscribers()) {
      this.#subscriptions.remove(subscriber);
      subscriber.end(this.#closed);
    }
  }

  #deliver(messageType: string, message: Uint8Array): number {
    const { observer } = this.#parts;
    const { delivered, missed } = this.#subscriptions.deliver(messageType, message);
    if (delivered > 0) observer.delivered(delivered);
    if (missed > 0) observer.missed(missed);
    return delivered;
  }
}
