import { Buffer } from "node:buffer";
import { Fault } from "../base/fault.ts";
import { type JsonValue, payloadOf, payloadValue } from "../base/json-payload.ts";
import type { Definitions } from "../grpc/definitions.ts";
import { passedThrough } from "../grpc/pass-through.ts";
import {
  publishedMessage,
  publishRequest,
  publishResponse,
  subscribeRequest,
  subscribeResponse,
} from "../pubsub/pubsub-codec.ts";
import type { Coordinators } from "./coordinators.ts";
import type { RpcMethod, RpcOptions } from "./rpc-channel.ts";

/** How far a published message went. */
export interface Reach {
  /** Nodes on which it was given to subscribers. */
  readonly nodes: number;
  /** Subscribers that it was given to. */
  readonly subscribers: number;
}

/** What a subscription tells. */
export type SubscriptionEvent =
  /**
   * First, and again where the coordinator was lost or has stopped, and the subscription goes on at another one: what is published from now on, on any node, arrives. What was published in between is missed.
   */
  | { readonly kind: "subscribed" }
  | PublishedMessage
  /** So many messages were dropped in this place, most likely because they were not read fast enough. */
  | { readonly kind: "missed"; readonly count: number };

export interface PublishedMessage {
  readonly kind: "message";
  readonly messageType: string;
  /** Name of the node where it was published. */
  readonly serverId: string;
  /** A Buffer where bytes were published; else what the JSON says. */
  readonly payload: JsonValue | Buffer;
}

/** The encoded PublishRequest. Throws INVALID_ARGUMENT. */
export function encodePublish(messageType: string, payload: unknown): Buffer {
  return publishRequest.encode({ messageType, payload: payloadOf(payload) });
}

export function decodeReach(response: Uint8Array): Reach {
  return sent(() => publishResponse.decode(response));
}

/** Pub/sub as a client of one coordinator has it. */
export class PubSubClient {
  readonly #coordinators: Coordinators;
  readonly #publish: RpcMethod<Uint8Array, Uint8Array>;
  readonly #subscribe: RpcMethod<Uint8Array, Uint8Array>;

  constructor(coordinators: Coordinators, { pubSub }: Definitions) {
    this.#coordinators = coordinators;
    this.#publish = passedThrough(pubSub.Publish);
    this.#subscribe = passedThrough(pubSub.Subscribe);
  }

  async publish(messageType: string, payload: unknown, options: RpcOptions): Promise<Reach> {
    return decodeReach(await this.#coordinators.unary(this.#publish, encodePublish(messageType, payload), options));
  }

  async *subscribe(
    messageTypes: readonly string[],
    options: Pick<RpcOptions, "signal">,
  ): AsyncGenerator<SubscriptionEvent, void, undefined> {
    const request = subscribeRequest.encode({ messageTypes });
    for await (const response of this.#coordinators.watch(this.#subscribe, request, options)) {
      const event = sent(() => eventOf(response));
      if (event) yield event;
    }
  }
}

/** Undefined: something that only a newer release knows. */
function eventOf(response: Uint8Array): SubscriptionEvent | undefined {
  const { subscribed, message, missed } = subscribeResponse.decode(response);
  if (message) {
    const { messageType, serverId, payload = new Uint8Array() } = publishedMessage.decode(message);
    const value = payloadValue(payload);
    // A copy: a view would keep the whole message in memory.
    return {
      kind: "message",
      messageType,
      serverId,
      payload: value instanceof Uint8Array ? Buffer.from(value) : value,
    };
  }
  if (missed) return { kind: "missed", count: missed.count };
  return subscribed && { kind: "subscribed" };
}

/** What the coordinator sent, which it must have encoded well. */
function sent<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new Fault("INTERNAL", "the coordinator sent a malformed answer", { cause });
  }
}
