import type { CallContext } from "../../src/base/call-context.ts";
import { Fault } from "../../src/base/fault.ts";
import { payloadOf } from "../../src/base/json-payload.ts";
import { decodePayload } from "../../src/base/payload.ts";
import type { TimerWheel } from "../../src/base/timer-wheel.ts";
import { IncomingRequest } from "../../src/mesh/incoming-request.ts";
import { METHOD } from "../../src/mesh/method.ts";
import type { Reach } from "../../src/pubsub/publisher.ts";
import { PubSub } from "../../src/pubsub/pubsub.ts";
import { publishedMessage, subscribeRequest, subscribeResponse } from "../../src/pubsub/pubsub-codec.ts";
import type { PubSubLimits, PubSubPeer, PubSubRequest } from "../../src/pubsub/pubsub-parts.ts";
import type { Subscription } from "../../src/pubsub/subscriber.ts";

const LIMITS: PubSubLimits = {
  queue: { maxMessages: 100, maxBytes: 100_000 },
  maxQueuedBytes: 1_000_000,
  maxSubscriptions: 100,
  maxPublishing: 100,
  maxPublishingBytes: 1_000_000,
  maxMessageBytes: 10_000,
};

export interface TestSubscription {
  readonly subscription: Subscription;
  /** What was taken so far: `subscribed`, `missed 3`, or `type: payload from node`. */
  readonly seen: string[];
  /** Takes all that waits. */
  read(): readonly string[];
}

/** Pub/sub of one node in memory. Its links to others are opened, held, replaced and lost by the test. */
export class TestPubSubNode {
  readonly name: string;
  readonly runId: string;
  readonly pubSub: PubSub;
  /** What the observer was told, summed up. */
  readonly counted = { published: 0, received: 0, delivered: 0, missed: 0, unreached: 0 };
  readonly #wheel: TimerWheel;
  readonly #links = new Map<string, TestLink>();

  constructor(
    name: string,
    wheel: TimerWheel,
    { limits, runId = `run of ${name}` }: { limits?: Partial<PubSubLimits>; runId?: string } = {},
  ) {
    this.name = name;
    this.runId = runId;
    this.#wheel = wheel;
    const count = (what: keyof TestPubSubNode["counted"]) => (by?: number) => {
      this.counted[what] += by ?? 1;
    };
    this.pubSub = new PubSub({
      runId: this.runId,
      nodeName: () => name,
      peer: (nodeId) => this.#links.get(nodeId),
      wheel,
      limits: { ...LIMITS, ...limits },
      observer: {
        published: count("published"),
        received: count("received"),
        delivered: count("delivered"),
        missed: count("missed"),
        unreached: count("unreached"),
      },
    });
  }

  /** Opens a link to another node, in place of the one that is open, if any: that one stays as it is. */
  link(to: TestPubSubNode): TestLink {
    const link = new TestLink(this, to, this.#wheel);
    this.#links.set(to.name, link);
    to.pubSub.peerLinked(this.runId);
    this.pubSub.linkOpened(to.name, to.runId);
    return link;
  }

  /** It is lost: nothing more leaves by it. */
  forget(link: TestLink): void {
    if (this.#links.get(link.to.name) === link) this.#links.delete(link.to.name);
  }

  subscribe(...messageTypes: string[]): TestSubscription {
    const seen: string[] = [];
    const subscription = this.pubSub.subscribe(subscribeRequest.encode({ messageTypes }), () => undefined);
    const read = () => {
      for (let event = subscription.take(); event; event = subscription.take()) seen.push(describe(event));
      return seen;
    };
    return { subscription, seen, read };
  }

  publish(messageType: string, payload: unknown, timeoutMs = 10_000): Promise<Reach> {
    return this.pubSub.publish(messageType, payloadOf(payload), this.context(timeoutMs));
  }

  /** As a request that came by a stream has it. */
  context(timeoutMs: number): IncomingRequest {
    const request = {
      kind: "request",
      id: 1,
      method: METHOD.PUBLISH,
      body: new Uint8Array(),
      depth: 0,
      timeoutMs,
    } as const;
    return new IncomingRequest(request, this.#wheel.now(), () => undefined);
  }
}

/** One session of a link, which carries requests in order. */
export class TestLink implements PubSubPeer {
  readonly to: TestPubSubNode;
  readonly #from: TestPubSubNode;
  readonly #wheel: TimerWheel;
  /** What is on its way. */
  #waiting: { readonly arrive: () => void; readonly fail: (fault: Fault) => void }[] = [];
  #held = false;
  #refusal: Fault | undefined;
  #lost = false;
  #over = false;
  /** Requests that left by it. */
  readonly sent: PubSubRequest[] = [];

  constructor(from: TestPubSubNode, to: TestPubSubNode, wheel: TimerWheel) {
    this.#from = from;
    this.to = to;
    this.#wheel = wheel;
  }

  request(what: PubSubRequest, body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const { deadline, signal } = context;
    this.sent.push(what);
    if (signal.aborted) return Promise.reject(new Fault("CANCELLED", "the caller cancelled"));
    if (this.#refusal) return Promise.reject(this.#refusal);
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const late = this.#wheel.after(deadline - this.#wheel.now(), () => reject(new Fault("DEADLINE_EXCEEDED", "late")));
    const arrive = () => {
      this.#wheel.disarm(late);
      const { pubSub } = this.to;
      (what === "deliverPublished" ? pubSub.deliverFromPeer(body) : pubSub.syncInterestFromPeer(body)).then(
        resolve,
        reject,
      );
    };
    this.#waiting.push({ arrive, fail: reject });
    queueMicrotask(() => {
      if (!this.#held) this.#arrive();
    });
    return promise;
  }

  get isLost(): boolean {
    return this.#lost;
  }

  /** Keeps what is sent on its way. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    if (this.#lost) return;
    this.#held = false;
    this.#arrive();
  }

  /** Answers every request with this. */
  refuse(fault: Fault | undefined): void {
    if (!this.#lost) this.#refusal = fault;
  }

  /** The sender loses it; what is on its way stays there. */
  lose(): void {
    this.#lost = true;
    this.#held = true;
    this.#refusal = new Fault("UNAVAILABLE", "the link was lost");
    this.#from.forget(this);
    for (const { fail } of this.#waiting) fail(new Fault("INDETERMINATE", "the link was lost"));
  }

  /** The receiver is through with it: what is on its way arrives, or is lost, and then it ends there. */
  end(arrives: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.lose();
    if (arrives) this.#arrive();
    this.#waiting = [];
    this.to.pubSub.peerUnlinked(this.#from.runId);
  }

  #arrive(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { arrive } of waiting) arrive();
  }
}

function describe(event: Uint8Array): string {
  const { subscribed, message, missed } = subscribeResponse.decode(event);
  if (message) {
    const { messageType, serverId, payload = new Uint8Array() } = publishedMessage.decode(message);
    return `${messageType}: ${decodePayload(payload)} from ${serverId}`;
  }
  return subscribed ? "subscribed" : `missed ${missed?.count}`;
}
