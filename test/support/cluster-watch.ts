import { Redis } from "ioredis";
import type { Cluster, ClusterNode } from "../../src/dev/cluster.ts";
import { parseClusterNodes } from "../../src/redis/cluster-nodes.ts";
import { eventually } from "./eventually.ts";

/** A Redis that has not answered for so long is one that is stopped, and not a machine that has other things to do. Unit: ms. */
const ANSWER_MS = 5000;

/** How the nodes of a cluster see it; asks each by a connection of its own. */
export class ClusterWatch implements Disposable {
  readonly #cluster: Cluster;
  readonly #masters: number;
  readonly #redis = new Map<ClusterNode, Redis>();

  /** `masters`: how many a whole cluster has. */
  constructor(cluster: Cluster, masters: number) {
    this.#cluster = cluster;
    this.#masters = masters;
    for (const node of cluster.nodes) {
      const { socketPath: path } = node.redis;
      const redis = new Redis({ path, commandTimeout: ANSWER_MS, maxRetriesPerRequest: 0, retryStrategy: () => 50 });
      redis.on("error", () => undefined);
      this.#redis.set(node, redis);
    }
  }

  redisOf(node: ClusterNode): Redis {
    return this.#redis.get(node) as Redis;
  }

  /** Who is a master by `asked`, and with how many slots. */
  async mastersSeenBy(asked: ClusterNode): Promise<ReadonlyMap<ClusterNode, ReadonlySet<number>>> {
    const lines = parseClusterNodes(String(await this.redisOf(asked).call("CLUSTER", "NODES")));
    const owned = new Map<ClusterNode, ReadonlySet<number>>();
    for (const { address, flags, slots } of lines) {
      const node = this.#cluster.nodes.find(({ redis }) => redis.port === address.port);
      if (!node || !flags.has("master") || slots.length === 0) continue;
      owned.set(node, new Set(slots.flatMap(({ start, end }) => range(start, end))));
    }
    return owned;
  }

  /** The replica that follows `master`, once that knows it. */
  replicaOf(master: ClusterNode): Promise<ClusterNode> {
    const known = async (): Promise<ClusterNode | undefined> => {
      const lines = parseClusterNodes(String(await this.redisOf(master).call("CLUSTER", "NODES")));
      const own = lines.find(({ flags }) => flags.has("myself"));
      const replica = lines.find(({ masterId }) => masterId !== undefined && masterId === own?.id);
      return this.#cluster.nodes.find(({ redis }) => redis.port === replica?.address.port);
    };
    return eventually(known, { what: "a replica" }) as Promise<ClusterNode>;
  }

  /** The master of a replica. */
  async masterOf(replica: ClusterNode): Promise<ClusterNode> {
    const lines = parseClusterNodes(String(await this.redisOf(replica).call("CLUSTER", "NODES")));
    const own = lines.find(({ flags }) => flags.has("myself"));
    const master = lines.find(({ id }) => id === own?.masterId);
    const node = this.#cluster.nodes.find(({ redis }) => redis.port === master?.address.port);
    if (!node) throw new Error("the replica has no master");
    return node;
  }

  /** Whether every node sees the same masters, all replicas are linked, and all coordinators serve. */
  async isHealthy(): Promise<boolean> {
    const views = await Promise.all(this.#cluster.nodes.map((node) => this.mastersSeenBy(node)));
    const names = views.map((view) =>
      [...view.keys()]
        .map(({ redis }) => redis.port)
        .sort()
        .join(),
    );
    if (names.some((name) => name !== names[0]) || views[0]?.size !== this.#masters) return false;
    for (const node of this.#cluster.nodes) {
      const info = await this.redisOf(node).info("replication");
      if (!/role:master/.test(info) && !/master_link_status:up/.test(info)) return false;
      if (/role:master/.test(info) && !/state=online/.test(info)) return false;
      if (!/cluster_state:ok/.test(String(await this.redisOf(node).call("CLUSTER", "INFO")))) return false;
      if (!(await isReady(node))) return false;
    }
    return true;
  }

  [Symbol.dispose](): void {
    for (const redis of this.#redis.values()) redis.disconnect();
  }
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start + 1 }, (_, index) => start + index);
}

async function isReady({ coordinator }: ClusterNode): Promise<boolean> {
  const response = await fetch(`http://${coordinator.opsAddress}/ready`);
  await response.body?.cancel();
  return response.ok;
}
