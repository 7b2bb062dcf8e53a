import calculateSlot from "cluster-key-slot";
import type { Cluster, ClusterNode } from "../../src/dev/cluster.ts";
import { SLOT_COUNT } from "../../src/topology/topology.ts";

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

/** So many keys in each of these slots. */
export function keysInSlots(slots: readonly number[], count: number): readonly string[] {
  const keys: string[] = [];
  const missing = new Map(slots.map((slot) => [slot, count]));
  for (let i = 0; missing.size > 0; i++) {
    const key = `key:${i}`;
    const slot = calculateSlot(key);
    const wanted = missing.get(slot);
    if (wanted === undefined) continue;
    keys.push(key);
    if (wanted === 1) missing.delete(slot);
    else missing.set(slot, wanted - 1);
  }
  return keys;
}

/** So many keys, whose slots are spread evenly over all. */
export function spreadKeys(count: number): readonly string[] {
  return keysInSlots(
    Array.from({ length: count }, (_, index) => Math.floor(((index + 0.5) * SLOT_COUNT) / count)),
    1,
  );
}
