import type { Shards } from "../functions/shards.ts";
import { isAsMapped } from "../topology/replication.ts";
import type { Requirement } from "./readiness.ts";
import type { RedisSide } from "./redis-side.ts";

/** What a coordinator knows of itself. */
export interface Condition {
  readonly isClosing: () => boolean;
  readonly redis: Pick<RedisSide, "isUp"> & { readonly replication: Pick<RedisSide["replication"], "current"> };
  readonly shards: Pick<Shards, "topology" | "peer">;
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
    [() => !condition.isClosing(), "the coordinator is shutting down"],
    [() => redis.isUp(), "Redis is not reachable"],
    [() => shards.topology() !== undefined, "the topology is not known yet"],
    [isAsTheMapSays, "Redis became master or replica, and the topology does not show it yet"],
    [hasMaster, "Redis is a replica that has lost its master"],
    [condition.isSandboxRunning, "the sandbox process is starting"],
    [condition.isLevel, "the libraries are not level with the cluster's yet"],
    [condition.hasJoined, "the peers are not linked yet"],
    [reachesMaster, "Redis is a replica, and its master's coordinator is not linked"],
  ];
}
