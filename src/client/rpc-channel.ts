import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { Fault } from "../base/fault.ts";
import { CODE_TRAILER, faultOf } from "../grpc/status.ts";
import { armableTimeoutMs } from "./timeout.ts";

/** How long one call may take, and how to give it up before. */
export interface RpcOptions {
  /** Unit: ms. */
  readonly timeoutMs?: number;
  /** Ends the call with CANCELLED. */
  readonly signal?: AbortSignal;
}

export interface RpcChannelOptions {
  /** `host:port`, or any other target that gRPC knows. */
  readonly address: string;
  readonly token: string;
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

/** Statuses that gRPC itself raises before anything left this process; the reason is somewhere within. */
const NEVER_SENT =
  /^(?:No connection established|Name resolution failed|Stream refused by server)(?:.*?Error: (.+?)\. Res)?/;

/** One gRPC channel with the token on every call and a Fault out of every failure. It connects with the first call. */
export class RpcChannel {
  readonly address: string;
  readonly #client: Client;
  readonly #metadata = new Metadata();
  #closed = false;

  constructor({ address, token, maxMessageBytes }: RpcChannelOptions) {
    this.address = address;
    this.#metadata.set("authorization", `Bearer ${token}`);
    this.#client = new Client(address, credentials.createInsecure(), {
      "grpc.max_receive_message_length": maxMessageBytes,
      "grpc.max_send_message_length": maxMessageBytes,
      // A coordinator whose machine died is noticed while a call waits for it.
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 5_000,
      // A coordinator is beside its clients, not behind a proxy for the web.
      "grpc.enable_http_proxy": 0,
    });
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
        this.#metadata,
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
      this.#metadata,
      deadlineOf(timeoutMs),
    );
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel);
    try {
      for await (const response of call) yield response as Response;
    } catch (error) {
      if (!signal?.aborted) throw faultOf(error as ServiceError);
    } finally {
      signal?.removeEventListener("abort", cancel);
      // Its last error comes after the reader has gone.
      call.on("error", () => undefined);
      call.cancel();
    }
  }

  bidiStream<Request, Response>(method: RpcMethod<Request, Response>): ClientDuplexStream<Request, Response> {
    if (this.#closed) throw closed();
    const { path, requestSerialize, responseDeserialize } = method;
    return this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, this.#metadata);
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

/**
 * gRPC says UNAVAILABLE of a connection that broke under a call, as if nothing had been done, CANCELLED where the server was
 * stopped under it, and INTERNAL of a stream that ended without a status: each leaves open whether the call ran.
 */
function sentFault(error: ServiceError): Fault {
  const fault = faultOf(error);
  const isOwn = error.metadata.get(CODE_TRAILER).length > 0;
  const isLost =
    /^(?:UNAVAILABLE|CANCELLED)$/.test(fault.code) || /^Received RST_STREAM with code [02]\b/.test(error.details);
  if (isOwn || !isLost) return fault;
  const neverSent = NEVER_SENT.exec(error.details);
  if (neverSent) {
    const [whole, reason = whole] = neverSent;
    return new Fault("UNAVAILABLE", `the coordinator cannot be reached: ${reason}`, { cause: error });
  }
  const text = `the connection was lost (${error.details}), so the call may or may not have run`;
  return new Fault("INDETERMINATE", text, { cause: error });
}
