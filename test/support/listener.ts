import type { GearmeshClient } from "../../src/client/client.ts";
import type { PublishedMessage, SubscriptionEvent } from "../../src/client/pubsub.ts";
import { eventually } from "./eventually.ts";

/** A subscriber that reads all that comes, as fast as it can. */
export class Listener implements AsyncDisposable {
  readonly events: SubscriptionEvent[] = [];
  /** How it ended: undefined while it goes on, or where it was closed. */
  fault: unknown;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  private constructor(client: GearmeshClient, messageTypes: readonly string[]) {
    this.#ended = this.#read(client.subscribe(messageTypes, { signal: this.#stop.signal }));
  }

  /** Resolves once the subscription stands. */
  static async open(client: GearmeshClient, ...messageTypes: string[]): Promise<Listener> {
    const listener = new Listener(client, messageTypes);
    const standsOrFailed = () => listener.events[0]?.kind === "subscribed" || listener.fault;
    await eventually(standsOrFailed, { what: "the subscription" });
    if (listener.fault) throw listener.fault;
    return listener;
  }

  get messages(): PublishedMessage[] {
    return this.events.filter((event) => event.kind === "message");
  }

  /** Resolves once so many messages have come. */
  async count(messages: number): Promise<readonly PublishedMessage[]> {
    await eventually(() => this.messages.length >= messages, { what: `${messages} messages` });
    return this.messages;
  }

  /** Resolves once the subscription has ended. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #read(events: AsyncIterable<SubscriptionEvent>): Promise<void> {
    try {
      for await (const event of events) this.events.push(event);
    } catch (error) {
      this.fault = error;
    }
  }
}
