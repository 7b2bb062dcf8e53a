import type { CacheStore } from "../cache/cache-store.ts";
import type { ConnectionDirectory } from "../connections/connection-directory.ts";
import { RedisActivityLease } from "../redis/activity-lease.ts";
import { RedisCacheStore } from "../redis/cache-store.ts";
import { RedisClusterView } from "../redis/cluster-view.ts";
import { RedisConnectionDirectory } from "../redis/connection-directory.ts";
import { connectionName } from "../redis/connection-name.ts";
import { createControlClient } from "../redis/control-client.ts";
import { FunctionUser } from "../redis/function-user.ts";
import { RedisLeaseStore } from "../redis/lease-store.ts";
import { RedisNameRegistry } from "../redis/name-registry.ts";
import { RedisRecordStore } from "../redis/record-store.ts";
import { formatEndpoint, type RedisCredentials, type RedisEndpoint } from "../redis/redis-endpoint.ts";
import { ReplicaConfirmation } from "../redis/replica-confirmation.ts";
import { ReplicationWatch } from "../redis/replication-watch.ts";
import { RedisRoomStore } from "../redis/room-store.ts";
import { RedisStorageStore } from "../redis/storage-store.ts";
import { REPLY_TIMEOUT_MS, StoreClient } from "../redis/store-client.ts";
import { RedisTaskStore } from "../redis/task-store.ts";
import type { RoomStore } from "../rooms/room-store.ts";
import type { LeaseStore } from "../storage/lease-store.ts";
import type { RecordStore } from "../storage/records.ts";
import type { StorageStore } from "../storage/storage-store.ts";
import type { TaskStore } from "../tasks/task-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { RedisConnection } from "../telemetry/round-trip-metrics.ts";
import { LiveTopology, type RefreshObserver } from "../topology/live-topology.ts";
import { isAsMapped } from "../topology/replication.ts";
import type { Settings } from "./config/settings.ts";
import { LogThrottle } from "./log-throttle.ts";
import { NodeName } from "./node-name.ts";
import { recoverMs } from "./task-timing.ts";

/** Everything that this coordinator knows from its Redis and keeps in it. */
export interface RedisSide {
  readonly topology: LiveTopology;
  readonly replication: ReplicationWatch;
  readonly lease: RedisActivityLease;
  readonly name: NodeName;
  readonly records: RecordStore;
  readonly storage: StorageStore;
  readonly storageLeases: LeaseStore;
  readonly rooms: RoomStore;
  readonly cache: CacheStore;
  readonly connections: ConnectionDirectory;
  readonly tasks: TaskStore;
  /** Who functions are to Redis, for their next connection. Rejects with UNAVAILABLE. */
  readonly functionCredentials: () => Promise<RedisCredentials>;
  readonly isUp: () => boolean;
  /** Starts the clocks and the connections; waits for nothing. */
  start(): void;
  /** Gives name and lease back. */
  close(): Promise<void>;
}

/** Waits between attempts to reach a Redis that is away. */
const RECONNECT = { initialMs: 50, maxMs: 1000 };

/** Time between two lines about the same failure. Unit: ms. */
const FAILURE_PERIOD_MS = 10_000;

/** Longest that a task which is enqueued waits for a replica to have it, too. Unit: ms. */
const REPLICA_TIMEOUT_MS = 1000;

/** Where Redis is, without who we are. */
export function redisLocation({ redis, redisSocket }: Settings): Omit<RedisEndpoint, keyof RedisCredentials> {
  return { ...redis, ...(redisSocket !== undefined && { socketPath: redisSocket }) };
}

function credentials(username: string | undefined, password: string | undefined): RedisCredentials {
  return { ...(username !== undefined && { username }), ...(password !== undefined && { password }) };
}

export interface RedisSideParts {
  readonly logger: Logger;
  readonly refreshes: RefreshObserver;
  /** Told with each reply how long Redis took for it, and for what the connection is. */
  readonly replied: (connection: RedisConnection, tookMs: number) => void;
  /** Told each time that this coordinator goes by another name. */
  readonly renamed: () => void;
  /** Told each time that Redis can be reached again. */
  readonly returned: () => void;
}

export function createRedisSide(
  settings: Settings,
  runId: string,
  { logger, refreshes, replied, renamed, returned }: RedisSideParts,
): RedisSide {
  const { namespace } = settings;
  const own = credentials(settings.redisUsername, settings.redisPassword);
  const endpoint = { ...redisLocation(settings), ...own };
  // A Redis that is away says so at every attempt.
  const throttle = new LogThrottle({ periodMs: FAILURE_PERIOD_MS });
  const onError = ({ message }: Error): void => {
    const repeats = throttle.pass(message);
    if (repeats === undefined) return;
    const setting = settings.redisSocket === undefined ? "redis" : "redisSocket";
    logger.warn({ repeats }, `no connection to Redis at ${formatEndpoint(endpoint)} (setting: ${setting}): ${message}`);
  };
  const control = createControlClient(endpoint, {
    name: connectionName(namespace, runId, "standby"),
    reconnect: RECONNECT,
    onError,
  });
  const lease = new RedisActivityLease({
    client: control,
    namespace,
    runId,
    leaseMs: settings.activityLeaseMs,
    onFailure: ({ code, message }) => logger.warn({ code }, message),
  });
  const view = new RedisClusterView(control, endpoint);
  const topology = new LiveTopology({
    source: view,
    mode: settings.mode,
    intervalMs: settings.topologyIntervalMs,
    observer: refreshes,
  });
  const replication = new ReplicationWatch({
    client: control,
    replied: (tookMs) => replied("control", tookMs),
    changed(current) {
      const map = topology.current();
      if (map && !isAsMapped(current, map)) topology.suspect("role");
    },
  });
  const store = new StoreClient(endpoint, onError, { replied: (tookMs) => replied("store", tookMs) });
  // Apart from the others, since a write there waits for a replica, and what comes behind it waits too.
  const { storageReplicaTimeoutMs } = settings;
  const confirmed = new StoreClient(endpoint, onError, {
    name: "gearmesh:storage",
    replied: (tookMs) => replied("storage", tookMs),
    replyTimeoutMs: REPLY_TIMEOUT_MS + storageReplicaTimeoutMs,
  });
  const replicas = new ReplicaConfirmation(storageReplicaTimeoutMs);
  // Apart from the others, since values may be large, and leases are not to wait behind them.
  const cached = new StoreClient(endpoint, onError, {
    name: "gearmesh:cache",
    replied: (tookMs) => replied("cache", tookMs),
    ownerOf: (slot) => topology.current()?.ownerOf(slot)?.address,
  });
  // Of their own: what waits for a replica holds up all that is behind it.
  const taskStore = new StoreClient(endpoint, onError, {
    name: "gearmesh:tasks",
    replied: (tookMs) => replied("tasks", tookMs),
    replyTimeoutMs: REPLY_TIMEOUT_MS + REPLICA_TIMEOUT_MS,
    ownerOf: (slot) => topology.current()?.ownerOf(slot)?.address,
  });
  const name = new NodeName({
    registry: new RedisNameRegistry(store, namespace),
    prefix: namespace,
    claim: { incarnation: runId, startedAtMs: Date.now(), leaseMs: settings.nameLeaseMs, wanted: settings.nodeNumber },
    identity: () => settings.identity ?? topology.current()?.self,
    changed(from, to, superseded) {
      logger.info(
        { from, to },
        superseded ? "a newer start of this coordinator took its name" : "this coordinator has its name",
      );
      renamed();
    },
  });
  const functionUser = new FunctionUser({
    client: control,
    namespace,
    allowedCommands: settings.allowedCommands,
    otherwise: own,
    onRefused: (error) =>
      logger.warn(
        { error },
        "Redis does not let this coordinator make a user for functions: they use the coordinator's own, and only gearmesh refuses what they may not do. Allow it +command and +acl|setuser, or set functionRedisUsername",
      ),
  });
  const { functionRedisUsername, functionRedisPassword } = settings;
  return {
    topology,
    replication,
    lease,
    name,
    records: new RedisRecordStore(confirmed, namespace, replicas),
    storage: new RedisStorageStore({
      client: store,
      confirmed,
      view,
      replicas,
      namespace,
      tombstoneMs: settings.storageTombstoneMs,
    }),
    connections: new RedisConnectionDirectory(store, {
      namespace,
      leaseMs: settings.connectionLeaseMs,
      graceMs: settings.resumeGraceMs,
    }),
    rooms: new RedisRoomStore(store, namespace, settings.roomLeaseMs),
    storageLeases: new RedisLeaseStore({ client: store, confirmed, replicas, namespace }),
    cache: new RedisCacheStore({ client: cached, view, namespace }),
    tasks: new RedisTaskStore(taskStore, {
      namespace,
      worker: () => name.current,
      leaseMs: settings.taskLeaseMs,
      recoverMs: recoverMs(settings),
      maxReruns: settings.taskMaxReruns,
      resultMs: settings.taskResultMs,
      maxResults: settings.taskMaxResults,
      confirmation: new ReplicaConfirmation(REPLICA_TIMEOUT_MS),
    }),
    functionCredentials:
      functionRedisUsername === undefined
        ? () => functionUser.credentials()
        : async () => credentials(functionRedisUsername, functionRedisPassword),
    isUp: () => control.status === "ready",
    start() {
      control.on("ready", () => {
        if (!topology.current()) {
          void topology.start();
          return;
        }
        topology.suspect("link-lost");
        returned();
      });
      lease.start();
      replication.start();
      // Its failures are reported as errors, and it tries again by itself.
      control.connect().catch(() => undefined);
    },
    async close() {
      await name.close();
      lease.stop();
      replication.stop();
      topology.stop();
      control.disconnect();
      await Promise.all([store.close(), confirmed.close(), cached.close(), taskStore.close()]);
    },
  };
}
