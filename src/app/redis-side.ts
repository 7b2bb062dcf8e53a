import type { ConnectionDirectory } from "../connections/connection-directory.ts";
import { RedisActivityLease } from "../redis/activity-lease.ts";
import { RedisClusterView } from "../redis/cluster-view.ts";
import { RedisConnectionDirectory } from "../redis/connection-directory.ts";
import { connectionName } from "../redis/connection-name.ts";
import { createControlClient } from "../redis/control-client.ts";
import { FunctionUser } from "../redis/function-user.ts";
import { RedisNameRegistry } from "../redis/name-registry.ts";
import { RedisRecordStore } from "../redis/record-store.ts";
import { formatEndpoint, type RedisCredentials, type RedisEndpoint } from "../redis/redis-endpoint.ts";
import { ReplicationWatch } from "../redis/replication-watch.ts";
import { RedisRoomStore } from "../redis/room-store.ts";
import { StoreClient } from "../redis/store-client.ts";
import type { RoomStore } from "../rooms/room-store.ts";
import type { RecordStore } from "../storage/records.ts";
import type { Logger } from "../telemetry/logger.ts";
import { LiveTopology, type RefreshObserver } from "../topology/live-topology.ts";
import { isAsMapped } from "../topology/replication.ts";
import type { Settings } from "./config/settings.ts";
import { LogThrottle } from "./log-throttle.ts";
import { NodeName } from "./node-name.ts";

/** Everything that this coordinator knows from its Redis and keeps in it. */
export interface RedisSide {
  readonly topology: LiveTopology;
  readonly replication: ReplicationWatch;
  readonly lease: RedisActivityLease;
  readonly name: NodeName;
  readonly records: RecordStore;
  readonly rooms: RoomStore;
  readonly connections: ConnectionDirectory;
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
  /** Told each time that this coordinator goes by another name. */
  readonly renamed: () => void;
  /** Told each time that Redis can be reached again. */
  readonly returned: () => void;
}

export function createRedisSide(
  settings: Settings,
  runId: string,
  { logger, refreshes, renamed, returned }: RedisSideParts,
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
  const topology = new LiveTopology({
    source: new RedisClusterView(control, endpoint),
    mode: settings.mode,
    intervalMs: settings.topologyIntervalMs,
    observer: refreshes,
  });
  const replication = new ReplicationWatch({
    client: control,
    changed(current) {
      const map = topology.current();
      if (map && !isAsMapped(current, map)) topology.suspect("role");
    },
  });
  const store = new StoreClient(endpoint, onError);
  const name = new NodeName({
    registry: new RedisNameRegistry(store, namespace),
    prefix: namespace,
    claim: { incarnation: runId, startedAtMs: Date.now(), leaseMs: settings.nameLeaseMs },
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
    records: new RedisRecordStore(store, namespace),
    connections: new RedisConnectionDirectory(store, {
      namespace,
      leaseMs: settings.connectionLeaseMs,
      graceMs: settings.resumeGraceMs,
    }),
    rooms: new RedisRoomStore(store, namespace, settings.roomLeaseMs),
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
      await store.close();
    },
  };
}
