import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  credentials,
  type StatusObject,
} from "@grpc/grpc-js";
import { Fault } from "../base/fault.ts";
import type { FrameStream, FrameStreamEvents, MeshTransport } from "../mesh/frame-stream.ts";
import { StreamRefused } from "../mesh/stream-refused.ts";
import { LINK_METHOD } from "./frame-methods.ts";
import { HeldConnection } from "./held-connection.ts";
import { neverSent } from "./never-sent.ts";
import { CODE_TRAILER, faultOf, isRefusal } from "./status.ts";

export interface PeerTransportParts {
  /** For every connection. Default: no encryption. */
  readonly credentials?: ChannelCredentials | undefined;
  /** Largest frame either way. Unit: bytes. */
  readonly maxFrameBytes: number;
}

/** Streams to other coordinators over gRPC, each on a connection of its own. */
export class PeerTransport implements MeshTransport {
  readonly #credentials: ChannelCredentials;
  readonly #options: ChannelOptions;

  constructor({ credentials: given, maxFrameBytes }: PeerTransportParts) {
    this.#credentials = given ?? credentials.createInsecure();
    this.#options = {
      // A connection that other clients of this process share would be found in their state, backing off for example.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_send_message_length": maxFrameBytes,
      "grpc.max_receive_message_length": maxFrameBytes,
      // Retries would keep a copy of every frame, and the mesh knows better what may be sent again.
      "grpc.enable_retries": 0,
      "grpc.enable_http_proxy": 0,
      // One stream's throughput is at most this by round trip: 1 MiB at 10 ms is 100 MiB/s.
      "grpc-node.flow_control_window": 1024 * 1024,
      "grpc.service_config_disable_resolution": 1,
    };
  }

  connect(address: string): FrameStream {
    const connection = new HeldConnection(this.#credentials);
    const client = new Client(address, connection, this.#options);
    const { path, requestSerialize, responseDeserialize } = LINK_METHOD;
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    return new ClientFrameStream(address, call, () => {
      client.close();
      setTimeout(() => connection.destroy(), CLOSE_TIMEOUT_MS).unref();
    });
  }
}

/** Longest that a stream may take to end that was closed here, and then its connection. Unit: ms. */
const CLOSE_TIMEOUT_MS = 1000;

/** The initiating end of a stream, over gRPC. */
export class ClientFrameStream implements FrameStream {
  readonly remoteAddress: string;
  readonly #call: ClientDuplexStream<Uint8Array, Uint8Array>;
  readonly #release: () => void;
  #events: FrameStreamEvents | undefined;
  #over = false;
  #closeTimer: NodeJS.Timeout | undefined;

  /** `release` is called once the call has ended. */
  constructor(remoteAddress: string, call: ClientDuplexStream<Uint8Array, Uint8Array>, release: () => void) {
    this.remoteAddress = remoteAddress;
    this.#call = call;
    this.#release = release;
  }

  listen(events: FrameStreamEvents): void {
    const call = this.#call;
    this.#events = events;
    call.on("data", (frame: Uint8Array) => {
      if (!this.#over) events.frame(frame);
    });
    call.on("drain", () => {
      if (!this.#over) events.drain();
    });
    // 'status' follows every end and says the same.
    call.on("error", () => undefined);
    call.on("status", (status) => {
      clearTimeout(this.#closeTimer);
      this.#release();
      this.#end(endOf(status));
    });
  }

  send(frame: Uint8Array): boolean {
    return !this.#over && this.#call.write(frame);
  }

  close(error?: Error): void {
    if (this.#over) return;
    this.#end(error);
    if (error === undefined) {
      this.#call.end();
      this.#closeTimer = setTimeout(() => this.#call.cancel(), CLOSE_TIMEOUT_MS);
      this.#closeTimer.unref();
    } else {
      this.#call.cancel();
    }
  }

  #end(error?: Error): void {
    if (this.#over) return;
    this.#over = true;
    queueMicrotask(() => this.#events?.closed(error));
  }
}

/** A stream that is open here was cancelled by nobody here: where the far side does not say so by a code of ours, its process was stopped under it. */
function endOf(status: StatusObject): Fault {
  if (status.code === 0) return new Fault("UNAVAILABLE", "the far side ended the stream");
  const reason = neverSent(status.details);
  if (reason !== undefined) return new StreamRefused("UNAVAILABLE", `the coordinator cannot be reached: ${reason}`);
  const fault = faultOf(status);
  if (isRefusal(status)) return new StreamRefused(fault.code, fault.message, { cause: fault });
  if (fault.code !== "CANCELLED" || status.metadata.get(CODE_TRAILER).length > 0) return fault;
  return new Fault("UNAVAILABLE", `the stream was cut off (${fault.message})`, { cause: fault });
}
