import { type CallContext, NEVER_ABORTED } from "../base/call-context.ts";
import { deadlineIn } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { TimerWheel } from "../base/timer-wheel.ts";
import { CALL_STREAM_METHOD } from "../grpc/frame-methods.ts";
import { ClientFrameStream } from "../grpc/peer-transport.ts";
import type { StreamLimits } from "../mesh/limits.ts";
import { METHOD, type Method } from "../mesh/method.ts";
import { Requester } from "../mesh/requester.ts";
import { type CallOptions, encodeCall } from "./call.ts";
import { decodeReach, encodePublish, type Reach } from "./pubsub.ts";
import { decodeReply, type Reply } from "./reply.ts";
import type { RpcChannel, RpcOptions } from "./rpc-channel.ts";
import { armableTimeoutMs } from "./timeout.ts";

export interface CallStreamParts {
  readonly channel: RpcChannel;
  readonly limits: StreamLimits;
  /** For calls that name no other. Unit: ms. */
  readonly timeoutMs: number;
}

/**
 * Many calls on one stream: those of one turn of the event loop leave in one write, which carries many times the calls a second of
 * `GearmeshClient.call`. The stream opens with the first call, and with the next one after it was lost.
 */
export class CallStream implements AsyncDisposable {
  readonly #parts: CallStreamParts;
  readonly #wheel = new TimerWheel();
  #requester: Requester | undefined;
  /** Resolves once the last stream is over. */
  #ended: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(parts: CallStreamParts) {
    this.#parts = parts;
  }

  /** Calls `library.function`. Rejects with a Fault; one call's failure leaves the others alone. */
  async call(name: string, options: CallOptions = {}): Promise<Reply> {
    const { raw = false } = options;
    return decodeReply(await this.#request(METHOD.CALL, encodeCall(name, options), options), raw);
  }

  /** As `GearmeshClient.publish`. Messages of one stream arrive in the order of their calls, which need not wait for each other. */
  async publish(messageType: string, payload: unknown, options: RpcOptions = {}): Promise<Reach> {
    return decodeReach(await this.#request(METHOD.PUBLISH, encodePublish(messageType, payload), options));
  }

  /** Takes no more calls and resolves once those in flight are settled. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#requester?.retire("the client closes the stream");
    await this.#ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #request(method: Method, body: Uint8Array, options: RpcOptions): Promise<Uint8Array> {
    if (this.#closed) throw new Fault("CANCELLED", "the call stream was closed");
    this.#requester ??= this.#open();
    const { timeoutMs = this.#parts.timeoutMs, signal = NEVER_ABORTED } = options;
    const context: CallContext = { deadline: deadlineIn(armableTimeoutMs(timeoutMs)), signal, depth: 0 };
    return this.#requester.request(method, body, context);
  }

  #open(): Requester {
    const { channel, limits } = this.#parts;
    const stream = new ClientFrameStream(channel.address, channel.bidiStream(CALL_STREAM_METHOD), () => undefined);
    const ended = Promise.withResolvers<void>();
    this.#ended = ended.promise;
    const requester: Requester = new Requester({
      nodeId: channel.address,
      stream,
      wheel: this.#wheel,
      limits,
      events: {
        goAway: (reason) => {
          this.#forget(requester);
          requester.retire(reason);
        },
        closed: () => {
          this.#forget(requester);
          ended.resolve();
        },
      },
    });
    stream.listen(requester);
    return requester;
  }

  /** The next call opens another stream; those in flight here end by themselves. */
  #forget(requester: Requester): void {
    if (this.#requester === requester) this.#requester = undefined;
  }
}
