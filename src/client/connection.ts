import { backoffMs } from "../base/backoff.ts";
import { Fault } from "../base/fault.ts";
import { payloadOf, payloadValue } from "../base/json-payload.ts";
import { TimerWheel } from "../base/timer-wheel.ts";
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
import { ConnectionStream } from "./connection-stream.ts";
import { Inbox, type Listeners } from "./inbox.ts";
import { decodeRpcReplies, encodeRpcCall, type RpcCallOptions, type RpcReply, type RpcValue } from "./rpc.ts";
import type { RpcChannel, RpcOptions } from "./rpc-channel.ts";
import { type ConnectionMethod, ServedMethods } from "./served-methods.ts";
import { withPatience } from "./timeout.ts";

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
  /** The connection is over, and will not come back. */
  readonly onClosed?: (fault: Fault) => void;
}

export interface ConnectionParts {
  /** The coordinator that is asked first, and others that are asked where it cannot be reached. */
  readonly channels: readonly [RpcChannel, ...RpcChannel[]];
  readonly limits: StreamLimits;
  /** For requests that name no other. Unit: ms. */
  readonly timeoutMs: number;
  readonly options: OpenOptions;
}

const RESUME_BACKOFF = { initialMs: 20, maxMs: 1000 };

/** Codes that say that the connection cannot be resumed any more. */
const FINAL = new Set(["UNKNOWN_CONNECTION", "UNAUTHENTICATED", "INVALID_ARGUMENT", "METHOD_EXISTS"]);

/**
 * A connection: it has an id by which every coordinator finds it, hears messages, and serves methods. Where its link is lost it is resumed by itself, at the same coordinator or
 * another one, and what was sent meanwhile is heard then, once and in order.
 */
export class Connection implements AsyncDisposable {
  readonly #parts: ConnectionParts;
  readonly #wheel = new TimerWheel();
  readonly #methods: ServedMethods;
  readonly #inbox: Inbox;
  #stream: ConnectionStream | undefined;
  #details: ConnectionDetails | undefined;
  #token: string;
  #graceMs = 0;
  #isClosed = false;

  constructor(parts: ConnectionParts) {
    const { options } = parts;
    const { methods = {}, resume } = options;
    this.#parts = parts;
    this.#methods = new ServedMethods(methods);
    this.#token = resume?.token ?? "";
    this.#inbox = new Inbox({
      listeners: options,
      receivedSequence: resume?.receivedSequence ?? 0,
      acknowledge: (sequence) => this.#stream?.acknowledge(sequence),
    });
  }

  /** Opens or resumes it. Rejects with a Fault. */
  async open(): Promise<void> {
    await this.#attach(this.#parts.channels[0]);
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
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#inbox.close();
    const stream = this.#stream;
    this.#stream = undefined;
    const body = verbRequest.encode({ verb: "quit", args: [] });
    // Where the link is lost, the connection ends with its grace time.
    await stream?.request(METHOD.VERB, body).catch(() => undefined);
    stream?.close();
  }

  /** Breaks the link and does not resume it here: somebody else may, by the resume point. */
  abandon(): void {
    this.#isClosed = true;
    this.#inbox.close();
    this.#stream?.close();
    this.#stream = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.quit();
  }

  #request(method: number, body: Uint8Array, options: RpcOptions): Promise<Uint8Array> {
    if (!this.#stream) return Promise.reject(new Fault("UNAVAILABLE", "the connection has no link now"));
    return this.#stream.request(method, body, options);
  }

  async #attach(channel: RpcChannel): Promise<void> {
    const { limits, timeoutMs, options } = this.#parts;
    const stream: ConnectionStream = new ConnectionStream({
      channel,
      limits,
      wheel: this.#wheel,
      timeoutMs,
      runMethod: (body) => this.#methods.run(body),
      delivered: (delivery) => this.#inbox.take(delivery),
      ended: (fault) => this.#lost(stream, fault),
    });
    const { type = "", fingerprint = "", params = {} } = options;
    const request = openConnectionRequest.encode({
      type,
      fingerprint,
      params: new Map(Object.entries(params).map(([key, value]) => [key, payloadOf(value)])),
      methods: this.#methods.names,
      resumeToken: this.#token,
      receivedSequence: this.#inbox.receivedSequence,
    });
    try {
      const answer = openConnectionResponse.decode(await stream.request(METHOD.OPEN_CONNECTION, request, options));
      this.#token = answer.resumeToken;
      this.#graceMs = answer.resumeGraceMs;
      this.#details = detailsOf(answer.details);
      this.#stream = stream;
    } catch (fault) {
      stream.close();
      throw fault;
    }
  }

  #lost(stream: ConnectionStream, fault: Fault): void {
    if (this.#stream !== stream || this.#isClosed) return;
    this.#stream = undefined;
    this.#parts.options.onLost?.(fault);
    void this.#resume();
  }

  /** At one coordinator after the other, until the grace time must be over. */
  async #resume(): Promise<void> {
    const { channels, options } = this.#parts;
    const endMs = performance.now() + this.#graceMs;
    let last = new Fault("UNAVAILABLE", "the connection was lost");
    for (let attempt = 0; !this.#isClosed && performance.now() < endMs; attempt++) {
      try {
        await this.#attach(channels[attempt % channels.length] ?? channels[0]);
        options.onResumed?.(this.details);
        return;
      } catch (thrown) {
        last = Fault.from(thrown);
        if (FINAL.has(last.code)) break;
      }
      await new Promise((resolve) => setTimeout(resolve, backoffMs(attempt, RESUME_BACKOFF)));
    }
    if (this.#isClosed) return;
    this.#isClosed = true;
    options.onClosed?.(last);
  }
}
