import type { Address } from "../base/address.ts";

/** A hash slot, 0 to 16383. */
export type Slot = number;
export const SLOT_COUNT = 16384;

/** Id of a Redis node, as CLUSTER MYID gives it; of a Redis without cluster mode, its run id. */
export type NodeId = string;

/** Slots from `start` to `end`, both included. */
export interface SlotRange {
  readonly start: Slot;
  readonly end: Slot;
}

/** A master and what it owns. */
export interface Shard {
  /** The master's node id. */
  readonly id: NodeId;
  /** Where the master listens. */
  readonly address: Address;
  readonly slots: readonly SlotRange[];
  /** The master's config epoch (CLUSTER NODES); 0 without cluster mode. */
  readonly epoch: number;
}

/** A node that has a copy of a shard, and may become its master. Its coordinator stands by. */
export interface Replica {
  readonly id: NodeId;
  readonly address: Address;
}

/** One immutable view of the cluster. A call takes one and keeps it, so that it never sees half of a change. */
export interface Topology {
  /** This coordinator's own counter of maps seen; says nothing between coordinators. */
  readonly version: number;
  /**
   * SHA-256 over the shards' ids, slots and epochs, in hex: whoever has the same one knows the same owners. Addresses are no part of it, since nodes may be
   * told different ones.
   */
  readonly hash: string;
  /** The Redis node this coordinator stands beside. */
  readonly self: NodeId;
  /** The master that `self` replicates, or `self` where it is a master. */
  readonly selfShard: NodeId;
  /** The shard of that id; undefined where no such master is known any more. */
  readonly ownShard: Shard | undefined;
  /** In order of their lowest slot; masters without slots come last, by id. */
  readonly shards: readonly Shard[];
  /** By id. */
  readonly replicas: readonly Replica[];
  ownerOf(slot: Slot): Shard | undefined;
}
