import type { Shards } from "../functions/shards.ts";
import { isAsMapped } from "../topology/replication.ts";
import type { Requirement } from "./readiness.ts";
import type { RedisSide } from "./redis-side.ts";

/** What a coordinator knows of itself. */
export interface Condition {
  readonly isClosing: () => boolean;
  readonly redis: Pick<RedisSide, "isUp"> & { readonly replication: Pick<RedisSide["replication"], "current"> };
  readonly shards: Pick<Shards, "topology" | "peer" | "isActive" | "objection">;
  readonly isSandboxRunning: () => boolean;
  readonly isLevel: () => boolean;
  readonly hasJoined: () => boolean;
}

/** Whoever calls a coordinator that meets all of them is served: by itself, or by the coordinator of its Redis's master. */
export function requirements({ redis, shards, ...condition }: Condition): Requirement[] {
  const isAsTheMapSays = (): boolean => {
    const [replication, map] = [redis.replication.current(), shards.topology()];
    return replication !== undefined && map !== undefined && isAsMapped(replication, map);
  };
  const hasMaster = (): boolean => {
    const replication = redis.replication.current();
    return replication?.kind !== "replica" || replication.isLinked;
  };
  const reachesMaster = (): boolean => {
    const map = shards.topology();
    return map !== undefined && (map.self === map.selfShard || shards.peer(map.selfShard) !== undefined);
  };
  return [
    unless(() => !condition.isClosing(), "the coordinator is shutting down"),
    unless(() => redis.isUp(), "Redis is not reachable"),
    unless(() => shards.topology() !== undefined, "the topology is not known yet"),
    unless(isAsTheMapSays, "Redis became master or replica, and the topology does not show it yet"),
    unless(hasMaster, "Redis is a replica that has lost its master"),
    unless(condition.isSandboxRunning, "the sandbox process is starting"),
    unless(condition.isLevel, "the libraries are not level with the cluster's yet"),
    unless(condition.hasJoined, "the peers are not linked yet"),
    unless(reachesMaster, "Redis is a replica, and its master's coordinator is not linked"),
    // One that stands by answers for no shard.
    () => (shards.isActive() ? shards.objection()?.message : undefined),
  ];
}

function unless(holds: () => boolean, reason: string): Requirement {
  return () => (holds() ? undefined : reason);
}
