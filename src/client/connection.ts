import { type CallContext, NEVER_ABORTED } from "../base/call-context.ts";
import { deadlineIn, remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { payloadOf, payloadValue } from "../base/json-payload.ts";
import { TimerWheel } from "../base/timer-wheel.ts";
import { within } from "../base/within.ts";
import {
  methodName,
  openConnectionRequest,
  openConnectionResponse,
  verbRequest,
  verbResponse,
} from "../connections/session-codec.ts";
import type { StreamLimits } from "../mesh/limits.ts";
import { METHOD } from "../mesh/method.ts";
import { type Applied, type ConnectionDetails, decodeApplied, detailsOf, encodeApply } from "./apply.ts";
import { Cache } from "./cache.ts";
import { callBack } from "./call-back.ts";
import { ConnectionStream } from "./connection-stream.ts";
import type { Coordinators } from "./coordinators.ts";
import { Inbox, type Listeners } from "./inbox.ts";
import { isFinal, Resumption } from "./resumption.ts";
import { decodeRpcReplies, encodeRpcCall, type RpcCallOptions, type RpcReply, type RpcValue } from "./rpc.ts";
import type { RpcChannel, RpcOptions } from "./rpc-channel.ts";
import { type ConnectionMethod, ServedMethods } from "./served-methods.ts";
import { armableTimeoutMs, withPatience } from "./timeout.ts";

/** What another process, or a later run of this one, needs to resume a connection. */
export interface ResumePoint {
  /** Secret, and valid once. */
  readonly token: string;
  readonly receivedSequence: number;
}

export interface OpenOptions extends RpcOptions, Listeners {
  /** What this client is. Default: client. */
  readonly type?: string;
  /** Of the client behind the connection. Default: the connection's id. */
  readonly fingerprint?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly methods?: Readonly<Record<string, ConnectionMethod>>;
  /** Of a connection that was opened before. */
  readonly resume?: ResumePoint;
  /** The link was lost, and the connection is being resumed. */
  readonly onLost?: (fault: Fault) => void;
  readonly onResumed?: (details: ConnectionDetails) => void;
  /** The connection is over, and will not come back: it was destroyed, or somebody else has resumed it, or it could not be resumed in time. */
  readonly onClosed?: (fault: Fault) => void;
}

export interface ConnectionParts {
  readonly coordinators: Coordinators;
  readonly limits: StreamLimits;
  /** For requests that name no other. Unit: ms. */
  readonly timeoutMs: number;
  readonly options: OpenOptions;
}

/**
 * A connection: it has an id by which every coordinator finds it, hears messages, and serves methods. Where its link is lost it is resumed by itself, at the same coordinator or
 * another one, and what was sent meanwhile is heard then, once and in order. What is asked for on it meanwhile waits for that, within its time.
 */
export class Connection implements AsyncDisposable {
  /** Objects, lists and locks that all nodes share; locks are given back when the link is lost. */
  readonly cache = new Cache((method, body, options) => this.#request(method, body, options));
  readonly #parts: ConnectionParts;
  readonly #wheel = new TimerWheel();
  readonly #methods: ServedMethods;
  readonly #inbox: Inbox;
  #stream: ConnectionStream | undefined;
  /** Told of the next link, or of the connection's end. */
  #waiting = Promise.withResolvers<void>();
  #details: ConnectionDetails | undefined;
  #token: string;
  #graceMs = 0;
  #resumption: Resumption | undefined;
  /** Resolves once the last resumption is over. */
  #resumed: Promise<void> = Promise.resolve();
  /** How it came to its end. */
  #over: "quit" | "abandoned" | "closed" | undefined;

  constructor(parts: ConnectionParts) {
    const { options } = parts;
    this.#parts = parts;
    this.#methods = new ServedMethods(options.methods ?? {});
    this.#token = options.resume?.token ?? "";
    this.#inbox = new Inbox({
      listeners: options,
      receivedSequence: options.resume?.receivedSequence ?? 0,
      acknowledge: (sequence) => this.#stream?.acknowledge(sequence),
    });
  }

  /** Opens or resumes it. Rejects with a Fault. */
  async open(): Promise<void> {
    const { coordinators, options } = this.#parts;
    await coordinators.somewhere((channel) => this.#attach(channel, options));
  }

  get id(): string {
    return this.details.id;
  }

  /** As they were when the connection was opened or resumed. */
  get details(): ConnectionDetails {
    if (!this.#details) throw new Fault("UNAVAILABLE", "the connection is not open");
    return this.#details;
  }

  /** What somebody else needs to resume it, from here on. */
  get resumePoint(): ResumePoint {
    return { token: this.#token, receivedSequence: this.#inbox.receivedSequence };
  }

  /** Whether there is a link now. */
  get isLinked(): boolean {
    return this.#stream !== undefined;
  }

  /** Calls a method on nodes. */
  async rpc(method: string, options: RpcCallOptions = {}): Promise<readonly RpcReply[]> {
    return decodeRpcReplies(
      await this.#request(METHOD.RPC_CALL, encodeRpcCall(method, options), withPatience(options)),
    );
  }

  /** Reads or changes a connection, this one or any other. */
  async apply(
    connectionId: string,
    method = "",
    args: readonly unknown[] = [],
    options: RpcOptions = {},
  ): Promise<Applied> {
    return decodeApplied(
      await this.#request(METHOD.APPLY, encodeApply(connectionId, method, args, options), withPatience(options)),
    );
  }

  /** roomAdd, roomLeave, roomView, say, detailsView, paramAdd, paramView or paramDelete. */
  async verb(verb: string, ...args: readonly unknown[]): Promise<RpcValue> {
    const body = verbRequest.encode({ verb, args: args.map(payloadOf) });
    return payloadValue(verbResponse.decode(await this.#request(METHOD.VERB, body, {})).result);
  }

  /** Serves calls of the method from now on. */
  async registerMethod(method: string, serve: ConnectionMethod): Promise<void> {
    const body = methodName.encode({ method });
    await this.#methods.register(method, serve, () => this.#request(METHOD.REGISTER_METHOD, body, {}));
  }

  async unregisterMethod(method: string): Promise<void> {
    await this.#request(METHOD.UNREGISTER_METHOD, methodName.encode({ method }), {});
    this.#methods.unregister(method);
  }

  /** Ends the connection for good. Idempotent. */
  async quit(): Promise<void> {
    const stream = this.#finish("quit");
    // Where the link is lost, the connection ends as soon as an attempt to resume it that is under way has succeeded, or else with its grace time.
    if (stream) await quitOn(stream);
    await this.#resumed;
  }

  /** Breaks the link and does not resume it here: somebody else may, by the resume point. An attempt to resume it that is under way gives it another one where it succeeds. */
  abandon(): void {
    this.#finish("abandoned")?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.quit();
  }

  async #request(method: number, body: Uint8Array, { timeoutMs, signal }: RpcOptions): Promise<Uint8Array> {
    const deadline = deadlineIn(armableTimeoutMs(timeoutMs ?? this.#parts.timeoutMs));
    for (;;) {
      const stream = await this.#linked({ deadline, signal: signal ?? NEVER_ABORTED, depth: 0 });
      try {
        return await stream.request(method, body, { timeoutMs: remainingMs(deadline), ...(signal && { signal }) });
      } catch (thrown) {
        // It was not sent: the link had gone before.
        const isUnsent = Fault.from(thrown).code === "UNAVAILABLE" && (stream.isLeaving || stream.fault !== undefined);
        if (!isUnsent) throw thrown;
      }
    }
  }

  /** The link, once there is one that takes requests. Rejects with UNAVAILABLE where there is none in time. */
  async #linked(context: CallContext): Promise<ConnectionStream> {
    for (;;) {
      const stream = this.#stream;
      if (stream && !stream.isLeaving) return stream;
      if (this.#over || !this.#details) throw noLink();
      await within(context, this.#waiting.promise).catch((thrown) => {
        throw Fault.from(thrown).code === "DEADLINE_EXCEEDED" ? noLink() : thrown;
      });
    }
  }

  #wake(): void {
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers();
  }

  async #attach(channel: RpcChannel, asked: RpcOptions): Promise<void> {
    const { limits, timeoutMs, options } = this.#parts;
    const request = this.#openRequest();
    const isReturn = this.#details !== undefined;
    const stream: ConnectionStream = new ConnectionStream({
      channel,
      limits,
      wheel: this.#wheel,
      timeoutMs,
      runMethod: (body) => this.#methods.run(body),
      delivered: (delivery) => this.#inbox.take(delivery),
      sentAway: () => this.#parts.coordinators.leave(channel),
      ended: (fault) => this.#lost(stream, fault),
    });
    try {
      const answer = openConnectionResponse.decode(await stream.request(METHOD.OPEN_CONNECTION, request, asked));
      this.#token = answer.resumeToken;
      this.#graceMs = answer.resumeGraceMs;
      this.#details = detailsOf(answer.details);
    } catch (thrown) {
      const { fault } = stream;
      stream.close();
      // The request's own fault says only that nobody knows what became of it.
      throw fault && isFinal(fault) ? fault : thrown;
    }
    if (stream.fault) throw stream.fault;
    if (this.#over) {
      if (this.#over === "quit") await quitOn(stream);
      stream.close();
      return;
    }
    this.#stream = stream;
    this.#wake();
    if (isReturn) callBack(options.onResumed, this.details);
  }

  #openRequest(): Buffer {
    const { type = "", fingerprint = "", params = {} } = this.#parts.options;
    return openConnectionRequest.encode({
      type,
      fingerprint,
      params: new Map(Object.entries(params).map(([key, value]) => [key, payloadOf(value)])),
      methods: this.#methods.names,
      resumeToken: this.#token,
      receivedSequence: this.#inbox.receivedSequence,
    });
  }

  #lost(stream: ConnectionStream, fault: Fault): void {
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    // The coordinator's word that the connection is gone, or somebody else's by now.
    if (fault.code === "CANCELLED") {
      this.#close(fault);
      return;
    }
    callBack(this.#parts.options.onLost, fault);
    if (!this.#over) this.#resumed = this.#resume(stream);
  }

  /** At one coordinator after the other: first at the one where it was, which has what was sent meanwhile, unless that has said that it stops. */
  async #resume({ channel, isLeaving }: ConnectionStream): Promise<void> {
    const { coordinators, options, timeoutMs } = this.#parts;
    let next = isLeaving ? coordinators.after(channel) : channel;
    // The signal that `open` was given is for opening: what is resumed is wanted.
    const asked = { timeoutMs: options.timeoutMs ?? timeoutMs };
    this.#resumption = new Resumption({
      attempt: () => {
        const asking = next;
        next = coordinators.after(next);
        return this.#attach(asking, asked);
      },
      graceMs: this.#graceMs,
    });
    const fault = await this.#resumption.run();
    if (fault) this.#close(fault);
  }

  #close(fault: Fault): void {
    if (this.#over) return;
    this.#finish("closed");
    callBack(this.#parts.options.onClosed, fault);
  }

  /** Nothing is heard, said or resumed any more. Returns the link, where there is one, for the caller to end. */
  #finish(how: "quit" | "abandoned" | "closed"): ConnectionStream | undefined {
    const stream = this.#stream;
    this.#over ??= how;
    this.#stream = undefined;
    this.#wake();
    this.#inbox.close();
    this.#resumption?.stop();
    return stream;
  }
}

function noLink(): Fault {
  return new Fault("UNAVAILABLE", "the connection has no link now");
}

/** Ends the connection whose link the stream is, if it can, and the stream. Never rejects. */
async function quitOn(stream: ConnectionStream): Promise<void> {
  await stream.request(METHOD.VERB, verbRequest.encode({ verb: "quit", args: [] })).catch(() => undefined);
  stream.close();
}
