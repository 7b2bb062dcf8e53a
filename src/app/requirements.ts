import type { Shards } from "../functions/shards.ts";
import { isAsMapped } from "../topology/replication.ts";
import type { RedisSide } from "./redis-side.ts";

/** Something that has to be there before a coordinator can serve: why it cannot, or undefined where it can. */
type Requirement = () => string | undefined;

/** What a coordinator knows of itself. */
export interface Condition {
  readonly isClosing: () => boolean;
  readonly redis: Pick<RedisSide, "isUp"> & { readonly replication: Pick<RedisSide["replication"], "current"> };
  readonly shards: Pick<Shards, "topology" | "peer" | "isActive" | "objection">;
  readonly isSandboxRunning: () => boolean;
  readonly isLevel: () => boolean;
  readonly hasJoined: () => boolean;
}

/**
 * Why a coordinator cannot serve now; undefined where it can. Then whoever calls it is served: by itself, or by the coordinator of its Redis's master. Redis
 * being away makes it unready, never dead.
 */
export function missingRequirement(condition: Condition): string | undefined {
  for (const missing of requirements(condition)) {
    const reason = missing();
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function requirements({ redis, shards, ...condition }: Condition): readonly Requirement[] {
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
