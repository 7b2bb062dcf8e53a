import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { Fault } from "../base/fault.ts";
import { neverSent } from "../grpc/never-sent.ts";
import { REQUEST_ID, TRACEPARENT } from "../grpc/request-identity.ts";
import { CODE_TRAILER, faultOf } from "../grpc/status.ts";
import { armableTimeoutMs } from "./timeout.ts";

/** How long one call may take, and how to give it up before. */
export interface RpcOptions {
  /** Unit: ms. */
  readonly timeoutMs?: number;
  /** Ends the call with CANCELLED. */
  readonly signal?: AbortSignal;
}

/** By which the coordinators' logs and traces name what is asked for on a stream. Without either nothing is named: it takes a short request a tenth of its rate. */
export interface StreamNames {
  /** 1 to 128 visible ASCII characters; each request has its number on the stream behind it. */
  readonly requestId?: string;
  /** W3C Trace Context, of the trace that the requests belong to. */
  readonly traceparent?: string;
}

export interface RpcChannelOptions {
  /** `host:port`, or any other target that gRPC knows. */
  readonly address: string;
  /** Asked for each call. */
  readonly token: () => string;
  readonly credentials: ChannelCredentials;
  /** Largest message sent or taken. Unit: bytes. */
  readonly maxMessageBytes: number;
}

/** What of a method's definition a call needs. */
export interface RpcMethod<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (request: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** A method whose messages are encoded and decoded by who calls it. */
export function passedThrough(path: string): RpcMethod<Buffer, Buffer> {
  return { path, requestSerialize: asIs, responseDeserialize: asIs };
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

/** One gRPC channel with the token on every call and a Fault out of every failure. It connects with the first call. */
export class RpcChannel {
  readonly address: string;
  readonly #client: Client;
  readonly #token: () => string;
  #metadata = new Metadata();
  /** The token that the metadata has. */
  #sent: string | undefined;
  #closed = false;

  constructor({ address, token, credentials, maxMessageBytes }: RpcChannelOptions) {
    this.address = address;
    this.#token = token;
    this.#client = new Client(address, credentials, {
      "grpc.max_receive_message_length": maxMessageBytes,
      "grpc.max_send_message_length": maxMessageBytes,
      // A coordinator whose machine died is noticed while a call waits for it.
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 5_000,
      // One that is back is noticed soon: for most of their waits gRPC has two minutes.
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1000,
      // A coordinator is beside its clients, not behind a proxy for the web.
      "grpc.enable_http_proxy": 0,
    });
  }

  /** The token of a call that is made now. */
  get token(): string {
    return this.#token();
  }

  unary<Request, Response>(
    method: RpcMethod<Request, Response>,
    request: Request,
    { timeoutMs, signal }: RpcOptions,
  ): Promise<Response> {
    if (signal?.aborted) return Promise.reject(cancelled(signal));
    if (this.#closed) return Promise.reject(closed());
    return new Promise((resolve, reject) => {
      const { path, requestSerialize, responseDeserialize } = method;
      const settle = (error: ServiceError | null, response?: Response) => {
        signal?.removeEventListener("abort", cancel);
        if (error) reject(signal?.aborted ? cancelled(signal) : sentFault(error));
        else resolve(response as Response);
      };
      const options = deadlineOf(timeoutMs);
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        this.#withToken(),
        options,
        settle,
      );
      const cancel = () => call.cancel();
      signal?.addEventListener("abort", cancel);
    });
  }

  /** Ends with a Fault, or quietly once the caller stops reading or aborts the signal. */
  async *serverStream<Request, Response>(
    method: RpcMethod<Request, Response>,
    request: Request,
    { timeoutMs, signal }: RpcOptions,
  ): AsyncGenerator<Response, void, undefined> {
    if (signal?.aborted) return;
    if (this.#closed) throw closed();
    const { path, requestSerialize, responseDeserialize } = method;
    const call: ClientReadableStream<Response> = this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      this.#withToken(),
      deadlineOf(timeoutMs),
    );
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel);
    try {
      for await (const response of call) yield response as Response;
    } catch (error) {
      if (!signal?.aborted) throw streamFault(error as ServiceError);
    } finally {
      signal?.removeEventListener("abort", cancel);
      // Its last error comes after the reader has gone.
      call.on("error", () => undefined);
      call.cancel();
    }
  }

  /** Sends requests as fast as they are taken, and resolves with the one response. Rejects with a Fault, and with what the requests reject with: then the call is cancelled. */
  async clientStream<Request, Response>(
    method: RpcMethod<Request, Response>,
    requests: AsyncIterable<Request>,
    { timeoutMs, signal }: RpcOptions,
  ): Promise<Response> {
    if (signal?.aborted) throw cancelled(signal);
    if (this.#closed) throw closed();
    const { path, requestSerialize, responseDeserialize } = method;
    const { promise: answered, resolve, reject } = Promise.withResolvers<Response>();
    const call = this.#client.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      this.#withToken(),
      deadlineOf(timeoutMs),
      (error: ServiceError | null, response?: Response) => {
        if (error) reject(signal?.aborted ? cancelled(signal) : sentFault(error));
        else resolve(response as Response);
      },
    );
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel);
    const isOver = answered.then(
      () => true,
      () => true,
    );
    try {
      for await (const request of requests) {
        const { promise: taken, resolve: proceed } = Promise.withResolvers<false>();
        call.write(request, () => proceed(false));
        // What it was answered with is said below.
        if (await Promise.race([taken, isOver])) break;
      }
      call.end();
      return await answered;
    } catch (thrown) {
      call.cancel();
      throw thrown;
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  bidiStream<Request, Response>(
    method: RpcMethod<Request, Response>,
    { requestId, traceparent }: StreamNames = {},
  ): ClientDuplexStream<Request, Response> {
    if (this.#closed) throw closed();
    const { path, requestSerialize, responseDeserialize } = method;
    const metadata = this.#withToken().clone();
    if (requestId !== undefined) metadata.set(REQUEST_ID, requestId);
    if (traceparent !== undefined) metadata.set(TRACEPARENT, traceparent);
    return this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
  }

  #withToken(): Metadata {
    const { token } = this;
    if (token !== this.#sent) {
      this.#sent = token;
      this.#metadata = new Metadata();
      this.#metadata.set("authorization", `Bearer ${token}`);
    }
    return this.#metadata;
  }

  /** No call can be made after this; those in flight go on. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#client.close();
  }
}

function deadlineOf(timeoutMs: number | undefined): CallOptions {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + armableTimeoutMs(timeoutMs) };
}

function closed(): Fault {
  return new Fault("CANCELLED", "the client was closed");
}

function cancelled(signal: AbortSignal): Fault {
  return new Fault("CANCELLED", "the caller cancelled", { cause: signal.reason });
}

/** What a call ends with where its coordinator cannot be reached (UNAVAILABLE), or the connection to it was lost meanwhile (INDETERMINATE). */
export class LostCoordinator extends Fault {}

/** The former of the two. */
export class UnreachableCoordinator extends LostCoordinator {}

/**
 * gRPC says UNAVAILABLE of a connection that broke under a call, as if nothing had been done, CANCELLED where the server was
 * stopped under it, and INTERNAL of a stream that ended without a status: each leaves open whether the call ran.
 */
function sentFault(error: ServiceError): Fault {
  if (!isLost(error)) return faultOf(error);
  const reason = neverSent(error.details);
  if (reason !== undefined) {
    return new UnreachableCoordinator("UNAVAILABLE", `the coordinator cannot be reached: ${reason}`, { cause: error });
  }
  const text = `the connection was lost (${error.details}), so the call may or may not have run`;
  return new LostCoordinator("INDETERMINATE", text, { cause: error });
}

/** Of a stream that only tells something. */
function streamFault(error: ServiceError): Fault {
  if (!isLost(error)) return faultOf(error);
  const reason = neverSent(error.details);
  if (reason !== undefined) return new UnreachableCoordinator("UNAVAILABLE", reason, { cause: error });
  return new LostCoordinator("UNAVAILABLE", `the connection was lost (${error.details})`, { cause: error });
}

function isLost(error: ServiceError): boolean {
  if (error.metadata.get(CODE_TRAILER).length > 0) return false;
  const { code } = faultOf(error);
  return code === "UNAVAILABLE" || code === "CANCELLED" || /^Received RST_STREAM with code [02]\b/.test(error.details);
}
