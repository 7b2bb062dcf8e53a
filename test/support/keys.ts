import calculateSlot from "cluster-key-slot";
import type { Cluster, ClusterNode } from "../../src/dev/cluster.ts";

/**
 * A key that lives on the shard of `node`. A fresh cluster gives its masters equal ranges of slots, in order of their ports.
 */
export function keyOn(cluster: Cluster, node: ClusterNode, masters = cluster.nodes.length): string {
  const index = cluster.nodes.indexOf(node);
  for (let i = 0; ; i++) {
    const key = `key:${i}`;
    if (Math.floor((calculateSlot(key) * masters) / 16384) === index) return key;
  }
}
