import type { CallContext } from "../base/call-context.ts";
import { deadlineIn, remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { checkPayload } from "../base/json-payload.ts";
import { checkMessageType } from "./message-types.ts";
import type { PeerInterest } from "./peer-interest.ts";
import type { PeerLane } from "./peer-lane.ts";
import type { PeerRoutes } from "./peer-routes.ts";
import { deliverPublishedRequest, deliverPublishedResponse, publishedMessage } from "./pubsub-codec.ts";
import type { PubSubParts } from "./pubsub-parts.ts";

/** How far a message went. */
export interface Reach {
  /** Nodes on which it was given to subscribers. */
  readonly nodes: number;
  /** Subscribers that it was given to. */
  readonly subscribers: number;
}

/** What is kept of the publisher's time for the answer to it, on a busy machine, too: this much, or a quarter where there is little. Unit: ms. */
const ANSWER_MS = 1000;

export interface PublisherParts extends Pick<PubSubParts, "runId" | "nodeName" | "wheel" | "observer"> {
  readonly limits: Pick<PubSubParts["limits"], "maxPublishing" | "maxPublishingBytes" | "maxMessageBytes">;
  readonly interest: PeerInterest;
  readonly routes: PeerRoutes;
  /** Gives an encoded PublishedMessage to the subscribers on this node; how many took it. */
  readonly deliverHere: (messageType: string, message: Uint8Array) => number;
}

/**
 * Sends what is published to the nodes that have subscribers of its type. All of it is on its lanes before `publish` returns its promise, so that messages leave in the order in which they were
 * published; none is sent twice, whatever becomes of it.
 */
export class Publisher {
  readonly #parts: PublisherParts;
  #sequence = 0;
  #waiting = 0;
  #waitingBytes = 0;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  /**
   * Resolves once every interested node has answered, failed, or taken too long. `payload` is an encoded Payload. Rejects with INVALID_ARGUMENT, or with RESOURCE_EXHAUSTED where the message is too large or too many
   * are on their way: then nobody got it.
   */
  async publish(messageType: string, payload: Uint8Array, context: CallContext): Promise<Reach> {
    const { runId, nodeName, observer, interest, routes, deliverHere } = this.#parts;
    checkMessageType(messageType);
    checkPayload(payload);
    const message = publishedMessage.encode({ messageType, serverId: nodeName(), payload });
    const body = deliverPublishedRequest.encode({ message, runId, sequence: this.#sequence + 1 });
    const nodes = routes.to((run) => interest.wants(run, messageType));
    this.#admit(body, nodes.length > 0);
    this.#sequence++;
    observer.published();
    const here = deliverHere(messageType, message);
    const there = nodes.length > 0 ? await this.#send(nodes, body, context) : [];
    const reached = [here, ...there].filter((subscribers) => subscribers > 0);
    return { nodes: reached.length, subscribers: reached.reduce((sum, subscribers) => sum + subscribers, 0) };
  }

  /** Links have bounds of their own, but at those a message would be lost on the way that was accepted here. */
  #admit({ length }: Uint8Array, leaves: boolean): void {
    const { maxPublishing, maxPublishingBytes, maxMessageBytes } = this.#parts.limits;
    if (length > maxMessageBytes) {
      const text = `the message takes ${length} bytes on its way, the limit is ${maxMessageBytes} (maxMessageBytes)`;
      throw new Fault("RESOURCE_EXHAUSTED", text);
    }
    if (!leaves) return;
    // One at least may always leave, however small the bound on bytes.
    const isFull = this.#waiting >= maxPublishing || this.#waitingBytes + length > maxPublishingBytes;
    if (isFull && this.#waiting > 0) {
      const text = `${this.#waiting} messages are on their way to other nodes already; publish again later`;
      throw new Fault("RESOURCE_EXHAUSTED", text);
    }
  }

  async #send(nodes: readonly PeerLane[], body: Uint8Array, context: CallContext): Promise<readonly number[]> {
    const onTheWay = this.#onTheWay(context);
    const answers = nodes.map((node) => this.#deliverThere(node, body, onTheWay));
    this.#waiting++;
    this.#waitingBytes += body.length;
    try {
      return await Promise.all(answers);
    } finally {
      this.#waiting--;
      this.#waitingBytes -= body.length;
    }
  }

  /** How many subscribers of that node took it. A node that fails or is late is not counted, and nothing is sent to it again. */
  async #deliverThere(node: PeerLane, body: Uint8Array, context: CallContext): Promise<number> {
    try {
      return deliverPublishedResponse.decode(await node.deliver(body, context)).subscribers;
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown;
      this.#parts.observer.unreached();
      return 0;
    }
  }

  /** Of the requests to the nodes, which end before the publisher's own call does. */
  #onTheWay({ deadline, signal, depth, identity }: CallContext): CallContext {
    const now = this.#parts.wheel.now();
    const leftMs = remainingMs(deadline, now);
    const sooner = deadlineIn(leftMs - Math.min(ANSWER_MS, leftMs / 4), now);
    return { deadline: sooner, signal, depth: depth + 1, identity };
  }
}
