import { randomUUID } from "node:crypto";
import type { CallContext, CallSignal } from "../base/call-context.ts";
import { deadlineIn, earlier, monotonicMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { Pace } from "../base/pace.ts";
import { RequestScope } from "../base/request-scope.ts";
import { TimerWheel } from "../base/timer-wheel.ts";
import { type FaultPoints, NO_FAULTS } from "../functions/fault-points.ts";
import type { Shards } from "../functions/shards.ts";
import type { Doors } from "../grpc/doors.ts";
import { silenceGrpc } from "../grpc/quiet.ts";
import type { Mesh } from "../mesh/mesh.ts";
import type { MeshObserver, PeerAddress } from "../mesh/mesh-parts.ts";
import { type Handlers, METHOD } from "../mesh/method.ts";
import type { PubSub } from "../pubsub/pubsub.ts";
import { slotOf } from "../redis/key-slot.ts";
import { MethodTable } from "../rpc/method-table.ts";
import type { Logger } from "../telemetry/logger.ts";
import { Logs } from "../telemetry/logs.ts";
import { createMetrics, type Metrics } from "../telemetry/metrics.ts";
import { type OpsServer, startOpsServer } from "../telemetry/ops-server.ts";
import { Traces } from "../telemetry/traces.ts";
import { isActive, ownsSlots } from "../topology/activity.ts";
import { ClusterRefresh, type RefreshedMap } from "../topology/cluster-refresh.ts";
import { OwnershipLease } from "../topology/ownership-lease.ts";
import { decodeRefreshedMap } from "../topology/refresh-codec.ts";
import type { NodeId, Topology } from "../topology/topology.ts";
import { type AccessSide, createAccessSide } from "./access-side.ts";
import { builtInMethods } from "./built-in-methods.ts";
import { type CacheSide, createCacheSide } from "./cache-side.ts";
import { CallStreams } from "./call-streams.ts";
import { ChangeWatch } from "./change-watch.ts";
import { insecurities } from "./config/insecurities.ts";
import { logLevelsOf } from "./config/log-levels.ts";
import type { Settings } from "./config/settings.ts";
import { type ConnectionSide, createConnectionSide } from "./connection-side.ts";
import { ConnectionStreams } from "./connection-streams.ts";
import { createDoorSide } from "./door-side.ts";
import { createFunctionSide, type FunctionSide } from "./function-side.ts";
import { handOver } from "./hand-over.ts";
import { LevelWatch } from "./level-watch.ts";
import { createMesh, streamLimits } from "./mesh-side.ts";
import { metricSources, type Watched } from "./metric-sources.ts";
import { createObservers } from "./observers.ts";
import { peerAddresses, peerShard, returnedShard } from "./peer-shards.ts";
import { createPubSub, toldToPubSub } from "./pubsub-side.ts";
import { createRedisSide, type RedisSide } from "./redis-side.ts";
import { missingRequirement } from "./requirements.ts";
import { createRoomSide, type RoomSide } from "./room-side.ts";
import { ConnectionProviders, createRpcSide, type RpcSide } from "./rpc-side.ts";
import { createStorageSide, type StorageSide, toldToStorage } from "./storage-side.ts";
import { checkTasks, createTaskSide, type TaskSide } from "./task-side.ts";
import { packageVersion } from "./version.ts";

/** Longest that RefreshCluster waits for one shard, its link included. Unit: ms. */
const PEER_REFRESH_TIMEOUT_MS = 5000;
/** Longest that a coordinator that starts waits for the links to its peers before it is ready. Unit: ms. */
const FIRST_LINKS_TIMEOUT_MS = 2000;
/** However fast maps follow each other, peers are told no more often than this. Unit: ms. */
const ANNOUNCEMENT_PERIOD_MS = 100;
/**
 * One coordinator: everything is put together in its constructor, once, and each part is handed what it needs. Nothing happens before
 * `start`, and nothing of that waits for Redis: a coordinator whose Redis is away lives, says that it is not ready, and recovers.
 */
export class Coordinator {
  readonly #settings: Settings;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #access: AccessSide;
  readonly #traces: Traces;
  readonly #redis: RedisSide;
  readonly #ownership: OwnershipLease;
  readonly #shards: Shards;
  readonly #functions: FunctionSide;
  readonly #methods: MethodTable;
  readonly #connections: ConnectionSide;
  readonly #rpc: RpcSide;
  readonly #pubSub: PubSub;
  readonly #tasks: TaskSide;
  readonly #rooms: RoomSide;
  readonly #storage: StorageSide;
  readonly #cache: CacheSide;
  readonly #mesh: Mesh;
  readonly #callStreams: CallStreams;
  readonly #connectionStreams: ConnectionStreams;
  readonly #doors: Doors;
  readonly #level: LevelWatch;
  readonly #readiness: ChangeWatch<string | undefined>;
  readonly #role: ChangeWatch<"active" | "standby">;
  readonly #announcements = new Pace(ANNOUNCEMENT_PERIOD_MS, () => this.#mesh.announce());
  readonly #serves = Promise.withResolvers<void>();
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
    const scope = new RequestScope();
    const logs = new Logs({
      level: settings.logLevel,
      levels: logLevelsOf(settings.logLevels),
      format: settings.logFormat,
      nodeName: () => this.#redis.name.current,
      request: () => scope.current,
      secrets: () => this.#access.secrets(),
    });
    this.#logger = logs.of("coordinator");
    this.#traces = new Traces(packageVersion(), runId);
    this.#metrics = createMetrics(
      packageVersion(),
      metricSources(() => this.#watched()),
    );
    this.#access = createAccessSide(settings, {
      logger: this.#logger,
      recorder: this.#metrics.auth,
      renewLinks: (reason) => this.#mesh.renewLinks(reason),
    });
    const observers = createObservers(logs, this.#metrics, {
      isClosing: () => this.#closing !== undefined,
      proofRefused: (remoteAddress) => this.#access.limit.failedAt("mesh", remoteAddress),
      linkLost: () => this.#redis.topology.suspect("link-lost"),
      topologyDiffers: () => this.#redis.topology.suspect("peer-hash"),
      moved: (text) => this.#redis.topology.moved(text),
    });
    this.#redis = createRedisSide(settings, runId, {
      logger: logs.of("redis"),
      refreshes: observers.refreshes,
      replied: this.#metrics.roundTrips.redis,
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
      whenBack: (nodeId, context) => returnedShard(this.#mesh, nodeId, context),
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
      checkTasks,
      isBuiltIn: (method) => this.#methods.isBuiltIn(method),
      isLevel: () => this.#level.isLevel,
      faults,
      spans: this.#traces,
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
        logs,
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
      logger: logs.of("rooms"),
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
      refused: () => this.#metrics.auth.failed("client", "scope"),
    });
    this.#tasks = createTaskSide(settings, {
      store: this.#redis.tasks,
      registry: functions.registry,
      runner: functions.runner,
      isLevel: () => this.#level.isLevel,
      level: () => functions.levelling.level(),
      runId,
      nodeName,
      topology: () => topology.current(),
      isActive: () => this.#shards.isActive(),
      mesh,
      observer: this.#metrics.tasks,
      logger: logs.of("tasks"),
    });
    this.#pubSub = createPubSub(settings, { runId, nodeName, mesh, wheel, observer: this.#metrics.pubSub });
    this.#storage = createStorageSide(settings, {
      store: this.#redis.storage,
      leaseStore: this.#redis.storageLeases,
      nodeId,
      mesh,
      observer: this.#metrics.storage,
      logger: logs.of("storage"),
    });
    this.#cache = createCacheSide(settings, { store: this.#redis.cache, nodeName, observer: this.#metrics.cache });
    this.#level = new LevelWatch({
      level: () => functions.levelling.level(),
      changed: () => {
        this.#readiness.look();
        this.#tasks.node.rearrange();
      },
      logger: logs.of("functions"),
    });
    this.#mesh = createMesh(settings, {
      runId,
      nodeName: () => this.#redis.name.claimed,
      topology,
      ownership: this.#ownership,
      functions,
      rpc: this.#rpc,
      connections: this.#connections,
      pubSub: this.#pubSub,
      rooms: this.#rooms,
      storage: this.#storage,
      tasks: this.#tasks,
      refresh,
      serves: this.#serves.promise,
      scope,
      access: this.#access,
      spans: this.#traces,
      observer: toldToStorage(toldToPubSub(observers.mesh, this.#pubSub), this.#storage),
      wheel,
    });
    const streams = {
      handlersFor: (ended: CallSignal) => this.#clientHandlers(ended),
      wheel,
      limits: streamLimits(settings),
      defaultTimeoutMs: settings.callTimeoutMs,
      maxTimeoutMs: settings.maxCallTimeoutMs,
      scope,
      spans: this.#traces,
      topologyHash: () => topology.current()?.hash ?? "",
      handlerFailed: observers.mesh.handlerFailed,
      settled: (...settled: Parameters<MeshObserver["settled"]>) => this.#metrics.streams.settled("client", ...settled),
    };
    this.#callStreams = new CallStreams(streams);
    this.#connectionStreams = new ConnectionStreams({
      ...streams,
      ...this.#connections,
      methodsChanged: () => this.#rooms.hooks.shareChanges(),
      openTimeoutMs: settings.handshakeTimeoutMs,
      maxStreams: 2 * settings.maxConnections,
    });
    this.#doors = createDoorSide(settings, {
      observers,
      scope,
      access: this.#access,
      spans: this.#traces,
      redis: this.#redis,
      refresh,
      shards: this.#shards,
      functions,
      connections: this.#connections,
      connectionStreams: this.#connectionStreams,
      rpc: this.#rpc,
      pubSub: this.#pubSub,
      rooms: this.#rooms,
      storage: this.#storage,
      cache: this.#cache,
      tasks: this.#tasks,
      mesh: this.#mesh,
      callStreams: this.#callStreams,
    });
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
    await this.#traces.start();
    this.#ops = await startOpsServer({
      ...opsListen,
      registry,
      missing: () => this.#missing(),
      nodeName: () => this.#redis.name.current,
      mayReadMetrics: (authorization, peer) => this.#access.mayReadMetrics(authorization, peer),
    });
    await this.#doors.server.start();
    this.#access.start();
    this.#readiness.start();
    this.#role.start();
    this.#functions.start();
    this.#redis.topology.subscribe((topology) => this.#followTopology(topology));
    this.#redis.start();
    this.#level.start();
    this.#connections.leases.start();
    this.#rooms.start();
    this.#storage.start();
    this.#tasks.start();
    this.#logger.info({ ...this.#addresses() }, "the coordinator has started");
    for (const warning of insecurities(this.#settings)) this.#logger.warn({}, warning);
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
    this.#serves.promise.catch(() => undefined);
    this.#serves.reject(new Fault("UNAVAILABLE", reason));
    this.#callStreams.goAway(reason);
    this.#pubSub.close(reason);
    this.#rooms.close(reason);
    this.#storage.close(reason);
    const { drainTimeoutMs } = this.#settings;
    const lastOnes = setTimeout(() => void this.#functions.close(), drainTimeoutMs);
    // First whoever calls us: what runs for them may still call others. Peers stay until they have fetched what is kept for clients that go to them.
    const handedOver = handOver(
      { held: this.#connections.held, streams: this.#connectionStreams, drainTimeoutMs },
      reason,
    );
    const peers = handedOver.then(() => this.#mesh.sendAway(reason));
    await Promise.all([peers, this.#tasks.close(reason), this.#doors.server.close()]);
    clearTimeout(lastOnes);
    await this.#mesh.close(reason);
    this.#connections.leases.stop();
    this.#connections.held.close(reason);
    this.#access.stop();
    this.#announcements.stop();
    this.#readiness.stop();
    this.#role.stop();
    this.#level.stop();
    await this.#functions.close();
    await this.#redis.close();
    await this.#traces.close();
    await this.#ops?.close();
    this.#logger.info({}, "the coordinator has stopped");
  }

  #addresses(): object {
    const { redis, listen, opsListen, namespace, mode } = this.#settings;
    return { redis, listen, opsListen, namespace, mode };
  }

  #watched(): Watched {
    return {
      redis: this.#redis,
      ownership: this.#ownership,
      isActive: () => this.#shards.isActive(),
      isReady: () => this.#missing() === undefined,
      functions: this.#functions,
      methods: this.#methods,
      connections: this.#connections,
      rpc: this.#rpc,
      pubSub: this.#pubSub,
      rooms: this.#rooms,
      storage: this.#storage,
      cache: this.#cache,
      tasks: this.#tasks,
      mesh: this.#mesh,
    };
  }

  /** What a client may ask for on its stream, until that has ended. */
  #clientHandlers(ended: CallSignal): Handlers {
    return new Map([
      [METHOD.CALL, (body, context) => this.#functions.calls.fromClient(body, context)],
      [METHOD.RPC_CALL, (body, context) => this.#rpc.router.fromClient(body, context)],
      [METHOD.PUBLISH, (body, context) => this.#pubSub.publishFromClient(body, context)],
      [METHOD.APPLY, (body, context) => this.#connections.apply.fromClient(body, context)],
      ...this.#storage.clientHandlers,
      ...this.#cache.streamHandlers(ended),
      ...this.#tasks.clientHandlers,
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
    if (reason === undefined) this.#serves.resolve();
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
    // A Redis that was promoted may lack the last writes.
    this.#storage.node.check.doubt();
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
