import { type Definitions, loadDefinitions } from "../grpc/definitions.ts";
import { DEFAULT_STREAM_LIMITS, maxFrameBytes, type StreamLimits } from "../mesh/limits.ts";
import { type Applied, decodeApplied, encodeApply } from "./apply.ts";
import { bytesOf, type CallOptions, encodeCall } from "./call.ts";
import { CallStream } from "./call-stream.ts";
import { type ClientTls, clientCredentials } from "./client-tls.ts";
import { ClusterCache } from "./cluster-cache.ts";
import { Connection, type OpenOptions } from "./connection.ts";
import { Coordinators, type RepeatableOptions } from "./coordinators.ts";
import { HEALTH_CHECK, type Health } from "./health-check.ts";
import { type LibraryDescription, type LoadedLibrary, libraryOf, type RolledBackLibrary } from "./library.ts";
import { PubSubClient, type Reach, type SubscriptionEvent } from "./pubsub.ts";
import { decodeReply, type Reply } from "./reply.ts";
import { Rooms } from "./rooms.ts";
import { decodeRpcReplies, encodeRpcCall, type RpcCallOptions, type RpcReply } from "./rpc.ts";
import { passedThrough, RpcChannel, type RpcMethod, type RpcOptions, type StreamNames } from "./rpc-channel.ts";
import { Storage } from "./storage.ts";
import { Tasks } from "./tasks.ts";
import { withPatience } from "./timeout.ts";
import {
  type ClusterTopology,
  type KeyLocation,
  locationOf,
  type RefreshedShard,
  refreshedShardOf,
  topologyOf,
} from "./topology.ts";

export interface ConnectOptions {
  /** A coordinator's `host:port`, or a gRPC target such as `dns:///name:7379` or `ipv4:10.0.0.1:7379,10.0.0.2:7379`. */
  readonly address: string;
  /**
   * Other coordinators, to which everything goes where the first one cannot be reached or stops, until that serves again: a coordinator that is restarted costs no call then, since what
   * it has not begun is made at another one. Default: none.
   */
  readonly alternatives?: readonly string[];
  /** The cluster's serverToken, or one that may do less. A function is asked for each call, so that the token can be replaced. */
  readonly token: string | (() => string);
  /** Where the coordinators speak TLS: how to make sure of them. `{}`: by the authorities that Node.js knows. Default: no TLS. */
  readonly tls?: ClientTls | undefined;
  /** For calls that name no other. Unit: ms. Default: 10,000. */
  readonly timeoutMs?: number;
  /** Largest message sent or taken. Unit: bytes. Default: 16 MiB. */
  readonly maxMessageBytes?: number;
}

export interface LoadOptions extends RpcOptions {
  /** What the library sees as redis.config: an object, or its JSON. Default: {}. */
  readonly config?: string | object;
  /** Replace a library of the same name. Default: false. */
  readonly replace?: boolean;
  /** Load although some shards cannot be reached; they get the library when they return. Default: false. */
  readonly allowMissing?: boolean;
}

export interface RollbackOptions extends RpcOptions {
  /** Roll back although some shards cannot be reached; they get the version when they return. Default: false. */
  readonly allowMissing?: boolean;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/** A client of one coordinator, and through it of the whole cluster. It connects with the first call, and again when that is lost. */
export function connect(options: ConnectOptions): GearmeshClient {
  return new GearmeshClient(options, loadDefinitions());
}

/** Every method rejects with a Fault. */
export class GearmeshClient implements AsyncDisposable {
  /** Named groups of connections. */
  readonly rooms: Rooms;
  /** Values by key that outlive processes and are the same on every node. */
  readonly storage: Storage;
  /** Objects, lists and locks that all nodes share. */
  readonly cache: ClusterCache;
  /** Work that is enqueued, and worked on any node. */
  readonly tasks: Tasks;
  readonly #coordinators: Coordinators;
  readonly #definitions: Definitions;
  readonly #timeoutMs: number;
  readonly #limits: StreamLimits;
  readonly #call: RpcMethod<Buffer, Buffer>;
  readonly #rpc: RpcMethod<Buffer, Buffer>;
  readonly #apply: RpcMethod<Buffer, Buffer>;
  readonly #pubSub: PubSubClient;
  /** Of the cache: it opens with the first request. */
  readonly #cacheStream: CallStream;

  constructor(options: ConnectOptions, definitions: Definitions) {
    const { address, alternatives = [], token, tls, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    const { maxMessageBytes = DEFAULT_STREAM_LIMITS.maxEnvelopeBytes } = options;
    this.#limits = { ...DEFAULT_STREAM_LIMITS, maxEnvelopeBytes: maxMessageBytes };
    const credentials = clientCredentials(tls);
    const present = typeof token === "string" ? () => token : token;
    const channelAt = (each: string) =>
      new RpcChannel({ address: each, token: present, credentials, maxMessageBytes: maxFrameBytes(this.#limits) });
    const coordinators = new Coordinators([channelAt(address), ...alternatives.map(channelAt)]);
    this.#coordinators = coordinators;
    this.#definitions = definitions;
    this.#timeoutMs = timeoutMs;
    this.rooms = new Rooms({ coordinators, definitions, timeoutMs });
    this.storage = new Storage({ coordinators, definitions, timeoutMs });
    this.#cacheStream = this.stream();
    const request = this.#cacheStream.requests;
    this.cache = new ClusterCache({ request, coordinators, definitions });
    this.tasks = new Tasks({ coordinators, definitions, timeoutMs });
    // Written and read by hand: a Value through proto-loader costs several times as much.
    this.#call = passedThrough(definitions.functions.Call.path);
    this.#rpc = passedThrough(definitions.rpc.Call.path);
    this.#apply = passedThrough(definitions.connections.Apply.path);
    this.#pubSub = new PubSubClient(coordinators, definitions);
  }

  /** Calls `library.function`. */
  async call(name: string, options: CallOptions = {}): Promise<Reply> {
    const { raw = false } = options;
    return decodeReply(await this.#unary(this.#call, encodeCall(name, options), options), raw);
  }

  /** One stream for many calls at once. */
  stream(names: StreamNames = {}): CallStream {
    return new CallStream({
      coordinators: this.#coordinators,
      limits: this.#limits,
      timeoutMs: this.#timeoutMs,
      names,
    });
  }

  /** Loads a library on every shard, or on none. */
  load(text: string, options: LoadOptions = {}): Promise<LoadedLibrary> {
    const { config = {}, replace = false, allowMissing = false, ...rpc } = options;
    const json = typeof config === "string" ? config : JSON.stringify(config);
    return this.#unary(this.#definitions.functions.Load, { text, config: json, replace, allowMissing }, rpc);
  }

  /** Deletes a library from every shard. Calls that run finish. */
  delete(library: string, options: RpcOptions = {}): Promise<Pick<LoadedLibrary, "revision" | "pending">> {
    return this.#unary(this.#definitions.functions.Delete, { library }, options);
  }

  /** Loads what was loaded before the present version, as a new revision; that one can be rolled back in turn. */
  rollback(library: string, options: RollbackOptions = {}): Promise<RolledBackLibrary> {
    const { allowMissing = false, ...rpc } = options;
    return this.#unary(this.#definitions.functions.Rollback, { library, allowMissing }, rpc);
  }

  /** What is loaded, or only `library`. */
  async list({
    library = "",
    withText = false,
    ...options
  }: RpcOptions & { library?: string; withText?: boolean } = {}): Promise<readonly LibraryDescription[]> {
    const { libraries } = await this.#unary(this.#definitions.functions.List, { library, withText }, options);
    return libraries.map(libraryOf);
  }

  /** REFRESHCLUSTER: every coordinator reads the topology anew and links to the others. One entry for each shard. */
  async refreshCluster(options: RpcOptions = {}): Promise<readonly RefreshedShard[]> {
    const { shards } = await this.#unary(this.#definitions.topology.RefreshCluster, {}, options);
    return shards.map(refreshedShardOf);
  }

  async topology(options: RpcOptions = {}): Promise<ClusterTopology> {
    return topologyOf((await this.#unary(this.#definitions.topology.GetTopology, {}, options)).topology);
  }

  /** The topology now and after each change, until the loop over it ends or the signal aborts. */
  async *watchTopology(options: Pick<RpcOptions, "signal"> = {}): AsyncGenerator<ClusterTopology, void, undefined> {
    const changes = this.#coordinators.watch(this.#definitions.topology.WatchTopology, {}, options);
    for await (const { topology } of changes) yield topologyOf(topology);
  }

  /** Calls an RPC method: on all nodes, one of them, the holder of a connection or the owner of a key. */
  async rpc(method: string, options: RpcCallOptions = {}): Promise<readonly RpcReply[]> {
    return decodeRpcReplies(await this.#unary(this.#rpc, encodeRpcCall(method, options), withPatience(options)));
  }

  /** Reads the details of a connection wherever it is held, or first does something with it: set, sendMessage, joinRoom, leaveRoom, destroy, or a method that it has registered. */
  async apply(
    connectionId: string,
    method = "",
    args: readonly unknown[] = [],
    options: RpcOptions = {},
  ): Promise<Applied> {
    return decodeApplied(
      await this.#unary(this.#apply, encodeApply(connectionId, method, args, options), withPatience(options)),
    );
  }

  /** Opens a connection, which hears messages and serves methods, or resumes one. */
  async open(options: OpenOptions = {}): Promise<Connection> {
    const parts = { coordinators: this.#coordinators, limits: this.#limits, timeoutMs: this.#timeoutMs, options };
    const connection = new Connection(parts);
    await connection.open();
    return connection;
  }

  /** Slot and owner of a key. */
  async locateKey(key: string | Uint8Array, options: RpcOptions = {}): Promise<KeyLocation> {
    return locationOf(await this.#unary(this.#definitions.topology.LocateKey, { key: bytesOf(key) }, options));
  }

  /** Publishes to the subscribers of a type on every node: bytes as they are, anything else as JSON. */
  publish(messageType: string, payload: unknown, options: RpcOptions = {}): Promise<Reach> {
    return this.#pubSub.publish(messageType, payload, { timeoutMs: this.#timeoutMs, ...options });
  }

  /** Messages of these types, in order, until the loop over them ends or the signal aborts. Who reads them too slowly misses some, and is told how many. */
  subscribe(
    messageTypes: readonly string[],
    options: Pick<RpcOptions, "signal"> = {},
  ): AsyncGenerator<SubscriptionEvent, void, undefined> {
    return this.#pubSub.subscribe(messageTypes, options);
  }

  /** Whether the coordinator that calls go to serves them now. Needs no valid token. */
  health(options: RpcOptions = {}): Promise<Health> {
    return this.#coordinators.current.unary(HEALTH_CHECK, undefined, { timeoutMs: this.#timeoutMs, ...options });
  }

  /** No call can be made after this; those in flight go on. Idempotent. */
  close(): void {
    void this.#cacheStream.close();
    this.#coordinators.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #unary<Request, Response>(
    method: RpcMethod<Request, Response>,
    request: Request,
    options: RepeatableOptions,
  ): Promise<Response> {
    return this.#coordinators.unary(method, request, { timeoutMs: this.#timeoutMs, ...options });
  }
}
