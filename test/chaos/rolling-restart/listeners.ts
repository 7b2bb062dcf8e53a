import type { GearmeshClient } from "../../../src/client/client.ts";
import type { Connection } from "../../../src/client/connection.ts";
import type { Tally } from "./tally.ts";

const TYPE = "roll";

interface Numbered {
  readonly from: string;
  readonly number: number;
}

/** Checks that what each sender has numbered comes in order, and never twice. */
class InOrder {
  readonly #last = new Map<string, number>();
  readonly #what: string;
  readonly #tally: Tally;
  heard = 0;
  skipped = 0;

  constructor(what: string, tally: Tally) {
    this.#what = what;
    this.#tally = tally;
  }

  take({ from, number }: Numbered): void {
    const last = this.#last.get(from) ?? 0;
    this.heard++;
    if (number <= last) this.#tally.failed(this.#what, true, new Error(`${number} of ${from} came behind ${last}`));
    else this.skipped += number - last - 1;
    this.#last.set(from, Math.max(last, number));
  }
}

/** A subscription of one client, and what it publishes. */
export class Subscription {
  readonly heard: InOrder;
  readonly #client: GearmeshClient;
  readonly #name: string;
  readonly #tally: Tally;
  readonly #abort = new AbortController();
  readonly #stream: ReturnType<GearmeshClient["stream"]>;
  #published = 0;
  #isSubscribed = false;
  #reading: Promise<void> | undefined;

  constructor(client: GearmeshClient, name: string, tally: Tally) {
    this.#client = client;
    this.#name = name;
    this.#tally = tally;
    this.#stream = client.stream();
    this.heard = new InOrder("subscription", tally);
  }

  get isSubscribed(): boolean {
    return this.#isSubscribed;
  }

  start(): void {
    this.#reading = this.#read().catch((thrown) => this.#tally.failed("subscription", true, thrown));
  }

  async publish(): Promise<void> {
    await this.#stream.publish(TYPE, { from: this.#name, number: ++this.#published } satisfies Numbered);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#reading;
  }

  async #read(): Promise<void> {
    for await (const event of this.#client.subscribe([TYPE], { signal: this.#abort.signal })) {
      if (event.kind === "subscribed") this.#isSubscribed = true;
      else if (event.kind === "message") this.heard.take(event.payload as unknown as Numbered);
    }
  }
}

/** A connection that serves a method, and hears messages that are numbered: each once and in order. */
export class Listener {
  readonly heard: InOrder;
  readonly connection: Connection;
  resumed = 0;
  #sent = 0;

  static async open(client: GearmeshClient, tally: Tally): Promise<Listener> {
    const failed = (text: string) => tally.failed("connection", true, new Error(text));
    const heard = new InOrder("connection", tally);
    const connection = await client.open({
      methods: { "roll.hello": (text) => text },
      onMessage: (message) => heard.take(message as unknown as Numbered),
      onMissed: (count) => failed(`it has missed ${count}`),
      onResumed: () => {
        listener.resumed++;
      },
      onClosed: (fault) => failed(`it was closed: ${fault.message}`),
    });
    const listener = new Listener(connection, heard);
    return listener;
  }

  private constructor(connection: Connection, heard: InOrder) {
    this.connection = connection;
    this.heard = heard;
  }

  get sent(): number {
    return this.#sent;
  }

  /** Has a client send it the next one. */
  async send(client: GearmeshClient): Promise<void> {
    const message: Numbered = { from: "test", number: ++this.#sent };
    await client.apply(this.connection.id, "sendMessage", [message], { timeoutMs: 45_000 });
  }
}
