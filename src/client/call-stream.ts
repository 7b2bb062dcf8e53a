import { type CallContext, NEVER_ABORTED } from "../base/call-context.ts";
import { deadlineIn } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { TimerWheel } from "../base/timer-wheel.ts";
import { CALL_STREAM_METHOD } from "../grpc/frame-methods.ts";
import { ClientFrameStream } from "../grpc/peer-transport.ts";
import type { StreamLimits } from "../mesh/limits.ts";
import { METHOD, type Method } from "../mesh/method.ts";
import { Requester } from "../mesh/requester.ts";
import { enqueueResponse } from "../tasks/task-codec.ts";
import { Cache, type StreamRequest } from "./cache.ts";
import { type CallOptions, encodeCall } from "./call.ts";
import { type Coordinators, mayRepeat, type RepeatableOptions } from "./coordinators.ts";
import { decodeReach, encodePublish, type Reach } from "./pubsub.ts";
import { decodeReply, type Reply } from "./reply.ts";
import type { RpcOptions, StreamNames } from "./rpc-channel.ts";
import { type StorageRequests, storageOverStream } from "./storage.ts";
import {
  type BulkOutcome,
  decodeBulk,
  type EnqueuedTask,
  encodeBulk,
  encodeEnqueue,
  type TaskToEnqueue,
} from "./tasks.ts";
import { armableTimeoutMs } from "./timeout.ts";

export interface CallStreamParts {
  readonly coordinators: Coordinators;
  readonly limits: StreamLimits;
  /** For calls that name no other. Unit: ms. */
  readonly timeoutMs: number;
  readonly names: StreamNames;
}

interface OpenStream {
  readonly requester: Requester;
  /** The token by which it was opened. */
  readonly openedBy: string;
}

/**
 * Many calls on one stream: those of one turn of the event loop leave in one write, which carries many times the calls a second of
 * `GearmeshClient.call`. The stream opens with the first call, and with the next one after it was lost, or its coordinator has stopped; then at another one, where the client knows some.
 */
export class CallStream implements AsyncDisposable {
  /** The storage, without what takes a stream of its own. */
  readonly storage: StorageRequests = storageOverStream((method, body, options) =>
    this.#request(method, body, options),
  );
  /** Objects, lists and locks that all nodes share; locks are given back when this stream ends. */
  readonly cache: Cache;
  /** For what sends requests of its own on this stream. */
  readonly requests: StreamRequest;
  readonly #parts: CallStreamParts;
  readonly #wheel = new TimerWheel();
  #open: OpenStream | undefined;
  /** Resolves once the last stream is over. */
  #ended: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(parts: CallStreamParts) {
    this.#parts = parts;
    this.requests = (method, body, options) => this.#request(method, body, options);
    this.cache = new Cache(this.requests);
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

  /** As `Tasks.enqueue`. */
  async enqueue(task: TaskToEnqueue, options: RpcOptions = {}): Promise<EnqueuedTask> {
    return enqueueResponse.decode(await this.#request(METHOD.ENQUEUE_TASK, encodeEnqueue(task), options));
  }

  /** As `Tasks.enqueueBulk`. */
  async enqueueBulk(tasks: readonly TaskToEnqueue[], options: RpcOptions = {}): Promise<readonly BulkOutcome[]> {
    return decodeBulk(await this.#request(METHOD.ENQUEUE_TASKS, encodeBulk(tasks), options));
  }

  /** Takes no more calls and resolves once those in flight are settled. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#open?.requester.retire("the client closes the stream");
    await this.#ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #request(method: Method, body: Uint8Array, options: RepeatableOptions): Promise<Uint8Array> {
    const { timeoutMs = this.#parts.timeoutMs, signal = NEVER_ABORTED, onlyReads = false } = options;
    const context: CallContext = { deadline: deadlineIn(armableTimeoutMs(timeoutMs)), signal, depth: 0 };
    for (let others = this.#parts.coordinators.size - 1; ; others--) {
      if (this.#closed) throw new Fault("CANCELLED", "the call stream was closed");
      const open = this.#opened();
      try {
        return await open.requester.request(method, body, context);
      } catch (thrown) {
        const fault = Fault.from(thrown);
        // What the coordinator answered is its answer: another stream is needed where this one is over, or has never been.
        if (others === 0 || open === this.#open || !mayRepeat(fault, onlyReads)) throw fault;
      }
    }
  }

  /** Another token: the stream of the one before may end with it, so the next calls go by a new one. */
  #opened(): OpenStream {
    const { token } = this.#parts.coordinators.current;
    if (this.#open && token !== this.#open.openedBy) this.#leave(this.#open, "the token has changed");
    this.#open ??= this.#openOne(token);
    return this.#open;
  }

  #openOne(openedBy: string): OpenStream {
    const { coordinators, limits, names } = this.#parts;
    const channel = coordinators.current;
    const stream = new ClientFrameStream(
      channel.address,
      channel.bidiStream(CALL_STREAM_METHOD, names),
      () => undefined,
    );
    const ended = Promise.withResolvers<void>();
    this.#ended = ended.promise;
    const requester = new Requester({
      nodeId: channel.address,
      stream,
      wheel: this.#wheel,
      limits,
      events: {
        goAway: (reason) => {
          coordinators.leave(channel);
          this.#leave(open, reason);
        },
        closed: ({ code }) => {
          // By itself a stream ends only where its coordinator is not there any more.
          if (this.#open === open && code === "UNAVAILABLE" && !this.#closed) coordinators.leave(channel);
          this.#forget(open);
          ended.resolve();
        },
      },
    });
    const open: OpenStream = { requester, openedBy };
    stream.listen(requester);
    return open;
  }

  #leave(open: OpenStream, reason: string): void {
    this.#forget(open);
    open.requester.retire(reason);
  }

  /** The next call opens another stream; those in flight here end by themselves. */
  #forget(open: OpenStream): void {
    if (this.#open === open) this.#open = undefined;
  }
}
