import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import type { RefreshCause } from "./live-topology.ts";
import type { NodeId, Shard, Topology } from "./topology.ts";

/** The map that a coordinator has after a refresh. */
export interface RefreshedMap {
  readonly version: number;
  readonly hash: string;
}

/** How the refresh went on one shard. */
export interface ShardRefresh {
  readonly shard: Shard;
  readonly outcome: RefreshedMap | Fault;
}

export interface ClusterRefreshParts {
  /** See LiveTopology. */
  readonly current: () => Topology | undefined;
  readonly refresh: (cause: RefreshCause) => Promise<Topology>;
  /** Asks the coordinator of a Redis node to refresh its own map, waiting for the link to it within the deadline. Rejects with a Fault. */
  readonly refreshPeer: (nodeId: NodeId, context: CallContext) => Promise<RefreshedMap>;
}

/**
 * RefreshCluster. Many at once cost one message to each peer and request, but each coordinator reads its Redis at most twice: readings
 * coalesce where they are done.
 */
export class ClusterRefresh {
  readonly #parts: ClusterRefreshParts;

  constructor(parts: ClusterRefreshParts) {
    this.#parts = parts;
  }

  /**
   * Refreshes this coordinator's map, then every other's at once. One shard's failure is its own outcome; rejects with UNAVAILABLE only where
   * no map is known at all.
   */
  async everywhere(context: CallContext): Promise<readonly ShardRefresh[]> {
    const own = await this.#parts.refresh("request").catch(Fault.from);
    const map = own instanceof Fault ? this.#parts.current() : own;
    if (!map) throw own;
    // Those that stand by are told too, but nobody waits for them.
    for (const { id } of map.replicas) {
      if (id !== map.self) this.#parts.refreshPeer(id, context).catch(() => undefined);
    }
    const mine = own instanceof Fault ? own : { version: own.version, hash: own.hash };
    return Promise.all(
      map.shards.map(async (shard) => ({
        shard,
        outcome: shard.id === map.self ? mine : await this.#parts.refreshPeer(shard.id, context).catch(Fault.from),
      })),
    );
  }

  /** Asked by a peer: refreshes this coordinator's map alone, so that a request never goes round. */
  async here(): Promise<RefreshedMap> {
    const { version, hash } = await this.#parts.refresh("peer");
    return { version, hash };
  }
}
