import type { CallContext } from "../base/call-context.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import type { QueueLimits } from "./subscriber-queue.ts";

/** What pub/sub asks of another coordinator. */
export type PubSubRequest = "deliverPublished" | "syncInterest";

/** One link to another coordinator, while it is open. Requests leave in the order they are made. */
export interface PubSubPeer {
  request(what: PubSubRequest, body: Uint8Array, context: CallContext): Promise<Uint8Array>;
}

export interface PubSubLimits {
  /** Of each subscriber. */
  readonly queue: QueueLimits;
  /** Of all subscribers' queues together. */
  readonly maxQueuedBytes: number;
  readonly maxSubscriptions: number;
  /** Messages that may be on their way to other nodes. */
  readonly maxPublishing: number;
  readonly maxPublishingBytes: number;
  /** Largest message to another coordinator. Unit: bytes. */
  readonly maxMessageBytes: number;
}

/** How much is subscribed to, for the metrics. */
export interface PubSubCounts {
  /** Open on this node. */
  readonly subscriptions: number;
  /** Types that they are for. */
  readonly types: number;
  /** Types that peers have subscribers for, each counted for each peer. */
  readonly peerTypes: number;
  /** Bytes of messages that wait for their subscribers. */
  readonly queuedBytes: number;
}

/** Told what happens, for the metrics. Must not throw. */
export interface PubSubObserver {
  published(): void;
  /** Another node sent a message for the subscribers here. */
  received(): void;
  /** So many subscribers here got a message. */
  delivered(subscribers: number): void;
  /** So many subscribers here did not, and are told so. */
  missed(subscribers: number): void;
  /** A node that has subscribers was not reached, or did not answer in time. */
  unreached(): void;
}

export interface PubSubParts {
  /** Of this process. */
  readonly runId: string;
  /** What this coordinator goes by now. */
  readonly nodeName: () => string;
  /** Undefined: no link to it is open. The same object as long as it is the same link. */
  readonly peer: (nodeId: string) => PubSubPeer | undefined;
  readonly wheel: TimerWheel;
  readonly limits: PubSubLimits;
  readonly observer: PubSubObserver;
}
