import { randomUUID } from "node:crypto";
import type { CallContext } from "../base/call-context.ts";
import { deadlineIn, earlier, monotonicMs } from "../base/deadline.ts";
import { Pace } from "../base/pace.ts";
import { TimerWheel } from "../base/timer-wheel.ts";
import { type FaultPoints, NO_FAULTS } from "../functions/fault-points.ts";
import type { Shards } from "../functions/shards.ts";
import { createDoors, type Doors } from "../grpc/doors.ts";
import { silenceGrpc } from "../grpc/quiet.ts";
import { maxFrameBytes } from "../mesh/limits.ts";
import type { Mesh } from "../mesh/mesh.ts";
import type { PeerAddress } from "../mesh/mesh-parts.ts";
import { type Handlers, METHOD } from "../mesh/method.ts";
import type { PubSub } from "../pubsub/pubsub.ts";
import { slotOf } from "../redis/key-slot.ts";
import { MethodTable } from "../rpc/method-table.ts";
import { createLogger, type Logger } from "../telemetry/logger.ts";
import { createMetrics, type Metrics } from "../telemetry/metrics.ts";
import { type OpsServer, startOpsServer } from "../telemetry/ops-server.ts";
import { isActive, ownsSlots } from "../topology/activity.ts";
import { ClusterRefresh, type RefreshedMap } from "../topology/cluster-refresh.ts";
import { OwnershipLease } from "../topology/ownership-lease.ts";
import { decodeRefreshedMap } from "../topology/refresh-codec.ts";
import type { NodeId, Topology } from "../topology/topology.ts";
import { builtInMethods } from "./built-in-methods.ts";
import { CallStreams } from "./call-streams.ts";
import { ChangeWatch } from "./change-watch.ts";
import type { Settings } from "./config/settings.ts";
import { type ConnectionSide, createConnectionSide } from "./connection-side.ts";
import { ConnectionStreams } from "./connection-streams.ts";
import { createFunctionSide, type FunctionSide } from "./function-side.ts";
import { LevelWatch } from "./level-watch.ts";
import { createMesh, streamLimits } from "./mesh-side.ts";
import { createObservers, type Observers } from "./observers.ts";
import { coordinatorAddress, peerAddresses, peerShard } from "./peer-shards.ts";
import { createPubSub, toldToPubSub } from "./pubsub-side.ts";
import { createRedisSide, type RedisSide } from "./redis-side.ts";
import { missingRequirement } from "./requirements.ts";
import { createRoomSide, type RoomSide } from "./room-side.ts";
import { ConnectionProviders, createRpcSide, type RpcSide } from "./rpc-side.ts";
import { packageVersion } from "./version.ts";

/** Longest that RefreshCluster waits for one shard, its link included. Unit: ms. */
const PEER_REFRESH_TIMEOUT_MS = 5000;
/** Longest that a coordinator that starts waits for the links to its peers before it is ready. Unit: ms. */
const FIRST_LINKS_TIMEOUT_MS = 2000;
/** However fast maps follow each other, peers are told no more often than this. Unit: ms. */
const ANNOUNCEMENT_PERIOD_MS = 100;
/** Longest that a coordinator which stops waits for its clients to resume their connections on other ones. Unit: ms. */
const HAND_OVER_TIMEOUT_MS = 1000;
/** From the end of what still runs when the drain time is over to the end of its connections: its callers get an answer. Unit: ms. */
const LAST_ANSWERS_MS = 500;

/**
 * One coordinator: everything is put together in its constructor, once, and each part is handed what it needs. Nothing happens before
 * `start`, and nothing of that waits for Redis: a coordinator whose Redis is away lives, says that it is not ready, and recovers.
 */
export class Coordinator {
  readonly #settings: Settings;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #redis: RedisSide;
  readonly #ownership: OwnershipLease;
  readonly #shards: Shards;
  readonly #functions: FunctionSide;
  readonly #methods: MethodTable;
  readonly #connections: ConnectionSide;
  readonly #rpc: RpcSide;
  readonly #pubSub: PubSub;
  readonly #rooms: RoomSide;
  readonly #mesh: Mesh;
  readonly #callStreams: CallStreams;
  readonly #connectionStreams: ConnectionStreams;
  readonly #doors: Doors;
  readonly #level: LevelWatch;
  readonly #readiness: ChangeWatch<string | undefined>;
  readonly #role: ChangeWatch<"active" | "standby">;
  readonly #announcements = new Pace(ANNOUNCEMENT_PERIOD_MS, () => this.#mesh.announce());
  /** By the newest map: whether calls with keys are for this coordinator's own Redis. */
  #ownsSlots = false;
  #ops: OpsServer | undefined;
  #joined: Promise<void> | undefined;
  #hasJoined = false;
  #closing: Promise<void> | undefined;

  /** `faults`: for tests alone. No setting brings any. */
  constructor(settings: Settings, faults: FaultPoints = NO_FAULTS) {
    this.#settings = settings;
    const runId = randomUUID();
    const wheel = new TimerWheel();
    this.#logger = createLogger({
      level: settings.logLevel,
      format: settings.logFormat,
      nodeName: () => this.#redis.name.current,
      secrets: [...settings.serverTokens, settings.redisPassword ?? "", settings.functionRedisPassword ?? ""],
    });
    this.#metrics = this.#createMetrics();
    const observers = createObservers(this.#logger, this.#metrics, {
      isClosing: () => this.#closing !== undefined,
      linkLost: () => this.#redis.topology.suspect("link-lost"),
      topologyDiffers: () => this.#redis.topology.suspect("peer-hash"),
      moved: (text) => this.#redis.topology.moved(text),
    });
    this.#redis = createRedisSide(settings, runId, {
      logger: this.#logger,
      refreshes: observers.refreshes,
      renamed: () => this.#announcements.ask(),
      returned: () => this.#level.doubt(),
    });
    const { topology } = this.#redis;
    this.#ownership = new OwnershipLease({
      topology: () => topology.current(),
      knownAtMs: () => topology.lastReading()?.askedAtMs,
      leaseMs: settings.mode === "auto" ? settings.leaseMs : 0,
      now: monotonicMs,
    });
    this.#shards = {
      topology: () => topology.current(),
      isActive: () => isActive(this.#redis.lease, topology.current()),
      objection: (slot) => this.#ownership.objection(slot),
      peer: (nodeId) => peerShard(this.#mesh, nodeId),
      namedBy: (redirection) => topology.namedBy(redirection),
      redirected: (by) => this.#metrics.topology.redirected(by),
      confirm: (slot) => topology.confirm(slot),
      followsMoved: settings.mode === "auto",
      slotOf,
    };
    this.#functions = createFunctionSide(settings, runId, {
      shards: this.#shards,
      records: this.#redis.records,
      functionCredentials: this.#redis.functionCredentials,
      runs: observers.runs,
      sandboxObserver: observers.sandbox,
      levelling: observers.levelling,
      publish: async (messageType, payload, context) =>
        (await this.#pubSub.publish(messageType, payload, context)).subscribers,
      isBuiltIn: (method) => this.#methods.isBuiltIn(method),
      isLevel: () => this.#level.isLevel,
      faults,
    });
    const refresh = new ClusterRefresh({
      current: () => this.#redis.topology.current(),
      refresh: (cause) => this.#redis.topology.refresh(cause),
      refreshPeer: (nodeId, context) => this.#refreshPeer(nodeId, context),
    });
    const functions = this.#functions;
    const nodeName = () => this.#redis.name.current;
    this.#methods = new MethodTable(
      builtInMethods({
        logger: this.#logger,
        refresh,
        topology: () => topology.current(),
        nodeName,
        runId,
        isActive: () => this.#shards.isActive(),
        connections: () => this.#connections.held.size,
      }),
      functions.methods,
    );
    const providers = new ConnectionProviders();
    const mesh = () => this.#mesh;
    const nodeId = () => topology.current()?.self;
    this.#rooms = createRoomSide(settings, {
      store: this.#redis.rooms,
      runId,
      nodeId,
      nodeName,
      connections: () => this.#connections,
      table: this.#methods,
      methods: () => this.#rpc.methods,
      mesh,
      observer: this.#metrics.rooms,
      logger: this.#logger,
    });
    this.#connections = createConnectionSide(settings, {
      directory: this.#redis.connections,
      holder() {
        const own = nodeId();
        return own === undefined ? undefined : { nodeId: own, runId };
      },
      nodeName,
      rooms: this.#rooms.membership,
      table: this.#methods,
      providers,
      mesh,
      runMethod: (connectionId, call, context) => this.#rpc.ofConnection(connectionId, call, context),
      observer: this.#metrics.connections,
    });
    this.#rpc = createRpcSide(settings, {
      table: this.#methods,
      providers,
      held: this.#connections.held,
      locator: this.#connections.locator,
      shards: this.#shards,
      mesh,
      nodeName,
      observer: this.#metrics.methods,
    });
    this.#pubSub = createPubSub(settings, { runId, nodeName, mesh, wheel, observer: this.#metrics.pubSub });
    this.#level = new LevelWatch({
      level: () => functions.levelling.level(),
      changed: () => this.#readiness.look(),
      logger: this.#logger,
    });
    this.#mesh = createMesh(settings, {
      runId,
      nodeName,
      topology,
      ownership: this.#ownership,
      functions,
      rpc: this.#rpc,
      connections: this.#connections,
      pubSub: this.#pubSub,
      rooms: this.#rooms,
      refresh,
      observer: toldToPubSub(observers.mesh, this.#pubSub),
      wheel,
    });
    const streams = {
      handlers: this.#clientHandlers(),
      wheel,
      limits: streamLimits(settings),
      defaultTimeoutMs: settings.callTimeoutMs,
      maxTimeoutMs: settings.maxCallTimeoutMs,
      topologyHash: () => topology.current()?.hash ?? "",
      handlerFailed: observers.mesh.handlerFailed,
    };
    this.#callStreams = new CallStreams(streams);
    this.#connectionStreams = new ConnectionStreams({
      ...streams,
      ...this.#connections,
      methodsChanged: () => this.#rooms.hooks.shareChanges(),
      openTimeoutMs: settings.handshakeTimeoutMs,
      maxStreams: 2 * settings.maxConnections,
    });
    this.#doors = this.#createDoors(observers, refresh);
    this.#readiness = new ChangeWatch(
      () => this.#missing(),
      (reason) => this.#readinessChanged(reason),
    );
    this.#role = new ChangeWatch(
      () => (this.#shards.isActive() ? "active" : "standby"),
      (role) => this.#logger.info({ role }, "this coordinator has another role"),
    );
  }

  /** Rejects with UNAVAILABLE where an address cannot be had. */
  async start(): Promise<void> {
    const { opsListen } = this.#settings;
    const { registry } = this.#metrics;
    silenceGrpc();
    this.#ops = await startOpsServer({ ...opsListen, registry, missing: () => this.#missing() });
    await this.#doors.server.start();
    this.#readiness.start();
    this.#role.start();
    this.#functions.start();
    this.#redis.topology.subscribe((topology) => this.#followTopology(topology));
    this.#redis.start();
    this.#level.start();
    this.#connections.leases.start();
    this.#rooms.start();
    this.#logger.info({ ...this.#addresses() }, "the coordinator has started");
  }

  /** Takes no new calls, lets those that run finish within the drain time, and gives back what it holds. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const reason = "the coordinator is shutting down";
    this.#logger.info({}, reason);
    this.#doors.health.set(false);
    this.#callStreams.goAway(reason);
    this.#pubSub.close(reason);
    this.#rooms.close(reason);
    const lastOnes = setTimeout(() => void this.#functions.close(), this.#settings.drainTimeoutMs);
    // First whoever calls us: what runs for them may still call others. Peers stay until they have fetched what is kept for clients that go to them.
    const peers = this.#handOver(reason).then(() => this.#mesh.sendAway(reason));
    await Promise.all([peers, this.#doors.server.close()]);
    clearTimeout(lastOnes);
    await this.#mesh.close(reason);
    this.#connections.leases.stop();
    this.#connections.held.close(reason);
    this.#announcements.stop();
    this.#readiness.stop();
    this.#role.stop();
    this.#level.stop();
    await this.#functions.close();
    await this.#redis.close();
    await this.#ops?.close();
    this.#logger.info({}, "the coordinator has stopped");
  }

  async #handOver(reason: string): Promise<void> {
    const { held } = this.#connections;
    const taken = held.whenTaken(held.attached);
    await this.#connectionStreams.sendAway(reason, this.#settings.drainTimeoutMs);
    await Promise.race([taken, new Promise((resolve) => setTimeout(resolve, HAND_OVER_TIMEOUT_MS))]);
  }

  #addresses(): object {
    const { redis, listen, opsListen, namespace, mode } = this.#settings;
    return { redis, listen, opsListen, namespace, mode };
  }

  #createMetrics(): Metrics {
    return createMetrics(packageVersion(), {
      links: () => {
        const { open, ...others } = this.#mesh.countLinks();
        return { open, connecting: Object.values(others).reduce((sum, count) => sum + count, 0) };
      },
      linkInFlight: () => this.#mesh.countInFlight().outgoing,
      topologyVersion: () => this.#redis.topology.current()?.version ?? 0,
      isActive: () => this.#shards.isActive(),
      isOwner: () => this.#ownership.objection() === undefined,
      libraries: () => this.#functions.registry.list().length,
      quarantinedLibraries: () => this.#functions.sandbox.quarantined,
      isRedisUp: () => this.#redis.isUp(),
      connections: () => {
        const { attached, away } = this.#connections.held;
        return { attached, away };
      },
      rpcPending: () => this.#rpc.router.inFlight,
      registeredMethods: () => this.#methods.registered,
      pubSub: () => this.#pubSub.counts,
      rooms: () => {
        const { local, watches } = this.#rooms.node;
        return { held: local.size, members: local.members, watches: watches.open };
      },
    });
  }

  #createDoors(observers: Observers, refresh: ClusterRefresh): Doors {
    const { listen, serverTokens, drainTimeoutMs, reflection, mode, callTimeoutMs, maxCallTimeoutMs } = this.#settings;
    const unary = { timeouts: { defaultMs: callTimeoutMs, maxMs: maxCallTimeoutMs }, observer: observers.bugs };
    const { lifecycle, registry, calls, sandbox } = this.#functions;
    return createDoors({
      listen,
      tokens: serverTokens,
      maxMessageBytes: maxFrameBytes(streamLimits(this.#settings)),
      drainTimeoutMs: drainTimeoutMs + LAST_ANSWERS_MS,
      reflection,
      observer: observers.rpcs,
      functions: {
        ...unary,
        lifecycle,
        registry,
        quarantine: (hash) => sandbox.quarantine(hash),
        call: (body, context) => calls.fromClient(body, context),
      },
      topology: {
        ...unary,
        topology: () => this.#redis.topology.current(),
        onChange: (listener) => this.#redis.topology.subscribe(listener),
        refreshCluster: (context) => refresh.everywhere(context),
        slotOf,
        coordinatorAddress: ({ address }) => coordinatorAddress(address, this.#settings),
        isLinked: (nodeId) => this.#mesh.peer(nodeId) !== undefined,
        isActive: () => this.#shards.isActive(),
        mode,
        nodeName: () => this.#redis.name.current,
      },
      connections: {
        ...unary,
        open: (stream) => this.#connectionStreams.accept(stream),
        apply: (body, context) => this.#connections.apply.fromClient(body, context),
      },
      rpc: { ...unary, call: (body, context) => this.#rpc.router.fromClient(body, context) },
      pubSub: {
        ...unary,
        publish: (body, context) => this.#pubSub.publishFromClient(body, context),
        subscribe: (body, news) => this.#pubSub.subscribe(body, news),
      },
      rooms: { ...unary, requests: this.#rooms.requests, watch: this.#rooms.watch },
      acceptCallStream: (stream) => this.#callStreams.accept(stream),
      acceptLink: (stream) => this.#mesh.accept(stream),
    });
  }

  /** What clients may ask for on their streams. */
  #clientHandlers(): Handlers {
    return new Map([
      [METHOD.CALL, (body, context) => this.#functions.calls.fromClient(body, context)],
      [METHOD.RPC_CALL, (body, context) => this.#rpc.router.fromClient(body, context)],
      [METHOD.PUBLISH, (body, context) => this.#pubSub.publishFromClient(body, context)],
      [METHOD.APPLY, (body, context) => this.#connections.apply.fromClient(body, context)],
    ]);
  }

  /** Why calls are not served here; undefined where they are. */
  #missing(): string | undefined {
    return missingRequirement({
      isClosing: () => this.#closing !== undefined,
      redis: this.#redis,
      shards: this.#shards,
      isSandboxRunning: () => this.#functions.sandbox.state.kind === "running",
      isLevel: () => this.#level.isLevel,
      hasJoined: () => this.#hasJoined,
    });
  }

  #readinessChanged(reason: string | undefined): void {
    this.#doors.health.set(reason === undefined);
    this.#logger.info({ reason }, reason === undefined ? "ready" : "not ready");
  }

  /**
   * Each new map: links to its shards, and libraries that may have come meanwhile. A load waits for the masters' coordinators: one that was beside a
   * replica, or beside a master without slots, was not waited for, so it is ready only once it is level again.
   */
  #followTopology(topology: Topology): void {
    const peers = peerAddresses(topology, this.#settings);
    this.#mesh.setPeers(peers);
    this.#announcements.ask();
    const ownedSlots = this.#ownsSlots;
    this.#ownsSlots = ownsSlots(topology);
    if (this.#ownsSlots && !ownedSlots) this.#level.doubt();
    else void this.#level.now();
    if (!this.#joined) this.#joined = this.#join(peers);
  }

  /**
   * Once the first map is there: takes the name and waits for the first links, within a bound, since a peer may be away. Then the
   * libraries are levelled with all those peers, so that none of them has a newer one when this coordinator becomes ready.
   */
  async #join(peers: readonly PeerAddress[]): Promise<void> {
    const deadline = deadlineIn(FIRST_LINKS_TIMEOUT_MS);
    const links = peers.map(({ nodeId }) => this.#mesh.whenLinked(nodeId, deadline));
    await Promise.allSettled([this.#redis.name.start(), ...links]);
    await Promise.all([this.#level.now(), this.#rooms.hooks.share()]);
    this.#hasJoined = true;
  }

  async #refreshPeer(nodeId: NodeId, context: CallContext): Promise<RefreshedMap> {
    const deadline = earlier(context.deadline, deadlineIn(PEER_REFRESH_TIMEOUT_MS));
    const peer = await this.#mesh.whenLinked(nodeId, deadline);
    const body = new Uint8Array();
    const answer = await peer.request(METHOD.REFRESH_TOPOLOGY, body, { ...context, deadline });
    return decodeRefreshedMap(answer);
  }
}

export async function startCoordinator(settings: Settings): Promise<Coordinator> {
  const coordinator = new Coordinator(settings);
  await coordinator.start();
  return coordinator;
}
