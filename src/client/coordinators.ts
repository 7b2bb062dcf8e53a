import { setTimeout as delay } from "node:timers/promises";
import { type BackoffLimits, backoffMs } from "../base/backoff.ts";
import { deadlineIn, monotonicMs, remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { HEALTH_CHECK } from "./health-check.ts";
import {
  LostCoordinator,
  type RpcChannel,
  type RpcMethod,
  type RpcOptions,
  UnreachableCoordinator,
} from "./rpc-channel.ts";
import { armableTimeoutMs } from "./timeout.ts";

/** How often the first coordinator is asked whether it serves again. Unit: ms. */
const RETURN_PERIOD_MS = 500;

/** A stream that ended sooner than this after it was begun, and has told nothing, has not worked. Unit: ms. */
const WORKING_MS = 1000;

const PAUSE: BackoffLimits = { initialMs: 20, maxMs: 1000 };

export interface RepeatableOptions extends RpcOptions {
  /** It has no effect, so it is made again where nobody knows whether it has run. Default: false. */
  readonly onlyReads?: boolean | undefined;
}

/**
 * The coordinators that a client may use. Calls go to the first one; where that cannot be reached, or stops, to another, until the first serves again. What a coordinator has not begun, as
 * UNAVAILABLE says, is tried once at each of the others.
 */
export class Coordinators {
  readonly #channels: readonly [RpcChannel, ...RpcChannel[]];
  #current: RpcChannel;
  #returning: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(channels: readonly [RpcChannel, ...RpcChannel[]]) {
    this.#channels = channels;
    [this.#current] = channels;
  }

  /** Where calls go now. */
  get current(): RpcChannel {
    return this.#current;
  }

  get size(): number {
    return this.#channels.length;
  }

  /** The one that is asked after this one. */
  after(channel: RpcChannel): RpcChannel {
    const [first] = this.#channels;
    return this.#channels[(this.#channels.indexOf(channel) + 1) % this.#channels.length] ?? first;
  }

  /** It cannot be reached, or takes no new calls. */
  leave(channel: RpcChannel): void {
    if (channel !== this.#current || this.size === 1) return;
    this.#current = this.after(channel);
    this.#awaitFirst();
  }

  /** Makes an attempt at the present coordinator and, as often as that has begun nothing, at the next one; at each once. */
  async somewhere<T>(
    attempt: (channel: RpcChannel) => Promise<T>,
    { onlyReads = false }: RepeatableOptions = {},
  ): Promise<T> {
    let channel = this.#current;
    for (let others = this.size - 1; ; others--) {
      try {
        return await attempt(channel);
      } catch (thrown) {
        const fault = Fault.from(thrown);
        if (fault instanceof LostCoordinator) this.leave(channel);
        if (others === 0 || this.#closed || !mayRepeat(fault, onlyReads)) throw fault;
        channel = this.after(channel);
      }
    }
  }

  async unary<Request, Response>(
    method: RpcMethod<Request, Response>,
    request: Request,
    options: RepeatableOptions,
  ): Promise<Response> {
    const left = timeLeft(options);
    return this.somewhere((channel) => channel.unary(method, request, left()), options);
  }

  /** Ends with a Fault, or quietly once the caller stops reading or aborts the signal. */
  async *serverStream<Request, Response>(
    method: RpcMethod<Request, Response>,
    request: Request,
    options: RpcOptions,
  ): AsyncGenerator<Response, void, undefined> {
    const left = timeLeft(options);
    const { responses, first } = await this.somewhere(async (channel) => {
      const opened = channel.serverStream(method, request, left());
      return { responses: opened, first: await opened.next() };
    });
    try {
      if (first.done) return;
      yield first.value;
      yield* responses;
    } finally {
      await responses.return();
    }
  }

  /**
   * The same of a method that tells how something is, and then what changes: where its coordinator is lost or stops, it is begun anew at another one, and once it has worked for as long as it takes until
   * one of them takes it. `begunAnew` is called before the first response of each further stream.
   */
  async *watch<Request, Response>(
    method: RpcMethod<Request, Response>,
    request: Request,
    options: RpcOptions,
    begunAnew: () => void = () => undefined,
  ): AsyncGenerator<Response, void, undefined> {
    const left = timeLeft(options);
    let hasWorked = false;
    for (let failures = 0, streams = 0; ; streams++) {
      const channel = this.#current;
      const begunMs = monotonicMs();
      try {
        let isFirst = streams > 0;
        for await (const response of channel.serverStream(method, request, left())) {
          if (isFirst) begunAnew();
          isFirst = false;
          hasWorked = true;
          yield response;
        }
        return;
      } catch (thrown) {
        const fault = Fault.from(thrown);
        const lastedMs = fault instanceof UnreachableCoordinator ? 0 : monotonicMs() - begunMs;
        failures = lastedMs < WORKING_MS ? failures + 1 : 1;
        hasWorked ||= lastedMs >= WORKING_MS;
        // All of them may be away at once: what has worked goes on when they are back, as connections and workers do.
        const isRefused = this.size === 1 || (failures >= this.size && !hasWorked);
        if (isRefused || this.#closed || !mayRepeat(fault, true)) throw fault;
        this.leave(channel);
        await delay(backoffMs(failures - 1, PAUSE), undefined, left()).catch(() => undefined);
      }
    }
  }

  /** No call can be made after this; those in flight go on. Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#returning);
    for (const channel of this.#channels) channel.close();
  }

  /** Where everybody stayed at the coordinator that was there last, a rolling restart would bring them all to one. */
  #awaitFirst(): void {
    const [first] = this.#channels;
    clearTimeout(this.#returning);
    if (this.#closed || this.#current === first) return;
    this.#returning = setTimeout(async () => {
      const health = await first.unary(HEALTH_CHECK, undefined, { timeoutMs: RETURN_PERIOD_MS }).catch(Fault.from);
      if (health === "serving") this.#current = first;
      this.#awaitFirst();
    }, RETURN_PERIOD_MS);
    this.#returning.unref();
  }
}

/** Whether it may be made again at once, somewhere else. */
export function mayRepeat({ code }: Fault, onlyReads: boolean): boolean {
  return code === "UNAVAILABLE" || (onlyReads && code === "INDETERMINATE");
}

/** The options of an attempt that begins now, of several that share one time. Throws INVALID_ARGUMENT. */
function timeLeft({ timeoutMs, signal }: RpcOptions): () => RpcOptions {
  const common: RpcOptions = signal ? { signal } : {};
  if (timeoutMs === undefined) return () => common;
  const deadline = deadlineIn(armableTimeoutMs(timeoutMs));
  return () => ({ ...common, timeoutMs: remainingMs(deadline) });
}
