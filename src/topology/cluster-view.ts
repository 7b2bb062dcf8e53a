import type { NodeId, Replica, Shard, Slot } from "./topology.ts";

/** What a Redis node says of its cluster, before it becomes a Topology. */
export interface ClusterView {
  /** The node that was asked. */
  readonly self: NodeId;
  /** The master that `self` replicates, or `self` where it is one. */
  readonly selfShard: NodeId;
  /** In any order. Where two claim one slot, the higher epoch has it. */
  readonly shards: readonly Shard[];
  /** In any order. */
  readonly replicas: readonly Replica[];
}

/** This coordinator's own Redis, the only authority on what its shard owns. */
export interface ClusterViewSource {
  /** Rejects with UNAVAILABLE where Redis does not answer. */
  read(): Promise<ClusterView>;
  /** What Redis says to whoever asks it for a key of the slot. Rejects likewise. */
  ask(slot: Slot): Promise<SlotAnswer>;
}

export type SlotAnswer =
  | { readonly kind: "own"; readonly epoch: number }
  /** The text of its MOVED. */
  | { readonly kind: "moved"; readonly text: string };
