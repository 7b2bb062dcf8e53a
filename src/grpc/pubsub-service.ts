import type { ServerWritableStream, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import type { Subscription } from "../pubsub/subscriber.ts";
import type { Definitions } from "./definitions.ts";
import { namedStream } from "./named-stream.ts";
import { passedThrough } from "./pass-through.ts";
import { statusOf } from "./status.ts";
import { type BugObserver, type UnaryParts, unary } from "./unary.ts";

/**
 * What is given to gRPC before the client has taken what was given earlier. More only moves what waits out of the subscriber's queue, where it is bounded and counted. Unit: bytes.
 */
const WINDOW_BYTES = 64 * 1024;

export interface PubSubServiceParts extends UnaryParts {
  /** Takes an encoded PublishRequest, resolves with the encoded PublishResponse. */
  readonly publish: (body: Uint8Array, context: CallContext) => Promise<Uint8Array>;
  /** Takes an encoded SubscribeRequest and calls `news` when there is something to take. Throws a Fault. */
  readonly subscribe: (body: Uint8Array, news: () => void) => Subscription;
}

type SubscribeCall = ServerWritableStream<Uint8Array, Uint8Array>;

/** Bodies pass as bytes: payloads and published messages are encoded once, by who publishes. */
export function pubSubServiceDefinition({ pubSub: { Publish, Subscribe } }: Definitions): ServiceDefinition {
  return { Publish: passedThrough(Publish), Subscribe: passedThrough(Subscribe) };
}

export function pubSubService(parts: PubSubServiceParts): UntypedServiceImplementation {
  return {
    Publish: unary<Uint8Array, Uint8Array>(parts, parts.publish),
    Subscribe: namedStream(parts, (call: SubscribeCall) => new SubscribeStream(parts, call).start()),
  };
}

/** One client's subscription: writes as fast as the client reads, and leaves the rest where it is bounded. */
class SubscribeStream {
  readonly #parts: Pick<PubSubServiceParts, "subscribe" | "observer">;
  readonly #call: SubscribeCall;
  #subscription: Subscription | undefined;
  /** Bytes given to gRPC that the client has not taken. */
  #givenBytes = 0;
  #over = false;

  constructor(parts: Pick<PubSubServiceParts, "subscribe" | "observer">, call: SubscribeCall) {
    this.#parts = parts;
    this.#call = call;
  }

  start(): void {
    try {
      this.#subscription = this.#parts.subscribe(this.#call.request, () => this.#push());
    } catch (thrown) {
      this.#end(Fault.from(thrown), this.#parts.observer);
      return;
    }
    this.#call.on("cancelled", () => {
      this.#over = true;
      this.#subscription?.close();
    });
  }

  #push(): void {
    const subscription = this.#subscription;
    if (!subscription) return;
    while (!this.#over && this.#givenBytes < WINDOW_BYTES) {
      const event = subscription.take();
      if (!event) {
        if (subscription.ended) this.#end(subscription.ended, this.#parts.observer);
        return;
      }
      this.#givenBytes += event.length;
      this.#call.write(event, () => {
        this.#givenBytes -= event.length;
        this.#push();
      });
    }
  }

  /** An 'error' that a handler emits is how grpc-js sends a status other than OK. */
  #end(fault: Fault, observer: BugObserver): void {
    this.#over = true;
    this.#subscription?.close();
    if (fault.code === "INTERNAL") observer.bug(fault.cause ?? fault);
    this.#call.emit("error", statusOf(fault));
  }
}
