import { Server, type ServerCredentials, type ServerInterceptor } from "@grpc/grpc-js";
import { type Address, formatAddress } from "../base/address.ts";
import { Fault } from "../base/fault.ts";
import { admitMetadataItems, type ListenerObserver, watchListeners } from "./listener-watch.ts";
import { isKnownPath } from "./method-scopes.ts";

export interface GrpcServerOptions {
  readonly listen: Address;
  readonly credentials: ServerCredentials;
  readonly interceptors: readonly ServerInterceptor[];
  readonly observer: ListenerObserver;
  /** Largest message taken or sent. Unit: bytes. */
  readonly maxMessageBytes: number;
  /** How long calls may finish once the server closes. Unit: ms. */
  readonly drainTimeoutMs: number;
}

/** Streams of one connection at once: refused ones, too, take memory until their client ends them. */
const MAX_CONNECTION_STREAMS = 1024;

/** One listener for everything that speaks gRPC: clients, peers and probes. */
export class GrpcServer {
  readonly #server: Server;
  readonly #options: GrpcServerOptions;
  #closing: Promise<void> | undefined;

  /** `register` adds the services; nothing listens before `start`. */
  constructor(options: GrpcServerOptions, register: (server: Server) => void) {
    this.#options = options;
    this.#server = new Server({
      interceptors: [...options.interceptors],
      "grpc.max_receive_message_length": options.maxMessageBytes,
      "grpc.max_send_message_length": options.maxMessageBytes,
      "grpc.max_concurrent_streams": MAX_CONNECTION_STREAMS,
      // A client that vanished without a word is noticed, and its calls are cancelled.
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 5_000,
    });
    admitMetadataItems(this.#server);
    register(this.#server);
  }

  /** Rejects with UNAVAILABLE where the address cannot be had. Resolves with the port that is listened on. */
  async start(): Promise<number> {
    const address = formatAddress(this.#options.listen);
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, this.#options.credentials, (error, port) => {
        if (!error) {
          watchListeners(this.#server, isKnownPath, this.#options.observer);
          return resolve(port);
        }
        // grpc-js wraps the system's error in prose of its own.
        const why = /\bE[A-Z]+\b/.exec(error.message)?.[0] ?? error.message;
        const text = `cannot listen on ${address} (${why}); set listen to a free address, or end the coordinator that runs there`;
        reject(new Fault("UNAVAILABLE", text, { cause: error }));
      });
    });
  }

  /** Takes no new calls and lets those that run finish, within the drain time. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      const force = setTimeout(() => this.#server.forceShutdown(), this.#options.drainTimeoutMs);
      this.#server.tryShutdown(() => {
        clearTimeout(force);
        resolve();
      });
    });
    return this.#closing;
  }
}
