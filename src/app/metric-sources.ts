import type { Mesh } from "../mesh/mesh.ts";
import type { PubSub } from "../pubsub/pubsub.ts";
import type { MethodTable } from "../rpc/method-table.ts";
import type { MetricSources } from "../telemetry/metrics.ts";
import type { OwnershipLease } from "../topology/ownership-lease.ts";
import type { CacheSide } from "./cache-side.ts";
import type { ConnectionSide } from "./connection-side.ts";
import type { FunctionSide } from "./function-side.ts";
import type { RedisSide } from "./redis-side.ts";
import type { RoomSide } from "./room-side.ts";
import type { RpcSide } from "./rpc-side.ts";
import type { StorageSide } from "./storage-side.ts";
import type { TaskSide } from "./task-side.ts";

/** What a scrape looks at. */
export interface Watched {
  readonly redis: RedisSide;
  readonly ownership: OwnershipLease;
  readonly isActive: () => boolean;
  readonly isReady: () => boolean;
  readonly functions: FunctionSide;
  readonly methods: MethodTable;
  readonly connections: ConnectionSide;
  readonly rpc: RpcSide;
  readonly pubSub: PubSub;
  readonly rooms: RoomSide;
  readonly storage: StorageSide;
  readonly cache: CacheSide;
  readonly tasks: TaskSide;
  readonly mesh: Mesh;
}

/** What the metrics ask at each scrape. `watched` is not called before the first one: by then there is everything. */
export function metricSources(watched: () => Watched): MetricSources {
  return {
    links: () => {
      const { open, ...others } = watched().mesh.countLinks();
      return { open, connecting: Object.values(others).reduce((sum, count) => sum + count, 0) };
    },
    node: () => nodeCondition(watched()),
    linkInFlight: () => watched().mesh.countInFlight().outgoing,
    linkWaitingBytes: () => watched().mesh.countWaitingBytes(),
    topologyVersion: () => watched().redis.topology.current()?.version ?? 0,
    isActive: () => watched().isActive(),
    isOwner: () => watched().ownership.objection() === undefined,
    libraries: () => watched().functions.registry.list().length,
    quarantinedLibraries: () => watched().functions.sandbox.quarantined,
    isRedisUp: () => watched().redis.isUp(),
    connections: () => {
      const { attached, away } = watched().connections.held;
      return { attached, away };
    },
    deliveries: () => watched().connections.held.deliveries,
    rpcPending: () => watched().rpc.router.inFlight,
    registeredMethods: () => watched().methods.registered,
    pubSub: () => watched().pubSub.counts,
    rooms: () => {
      const { local, watches } = watched().rooms.node;
      return { held: local.size, members: local.members, watches: watches.open };
    },
    storage: () => {
      const { sweep, watches } = watched().storage.node;
      return { leases: sweep.known, watches: watches.open, watchedKeys: watches.known.size };
    },
    cache: () => watched().cache.counts,
    tasks: () => {
      const { held, pool, external, wait, depths } = watched().tasks.node;
      return {
        held: held.size,
        poolSize: pool.size,
        poolBusy: pool.busy,
        workers: external.size,
        awaited: wait.open,
        depths: depths.current,
      };
    },
  };
}

function nodeCondition({ redis, ownership, isActive, isReady, functions }: Watched): ReturnType<MetricSources["node"]> {
  const topology = redis.topology.current();
  const answers = isActive() && ownership.objection() === undefined;
  const slots = (answers && topology?.ownShard?.slots) || [];
  return {
    name: redis.name.current,
    isReady: isReady(),
    isSandboxUp: functions.sandbox.state.kind === "running",
    slots: slots.reduce((sum, { start, end }) => sum + end - start + 1, 0),
    shards: topology?.shards.filter((shard) => shard.slots.length > 0).length ?? 0,
    topologyHash: topology?.hash ?? "",
  };
}
