import type { Peer } from "../mesh/method.ts";
import type { Slot, Topology } from "../topology/topology.ts";

/** What functions need to know of the cluster. */
export interface Shards {
  /** The newest map; undefined until Redis has been asked once. */
  topology(): Topology | undefined;
  /** Whether this coordinator answers for its shard, or stands by. */
  isActive(): boolean;
  /** The open link to the coordinator beside this Redis node. */
  peer(nodeId: string): Peer | undefined;
  slotOf(key: Uint8Array): Slot;
}
