import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import type { Shard, Slot, Topology } from "../topology/topology.ts";

/** What functions need to know of the cluster. */
export interface Shards {
  /** The newest map; undefined until Redis has been asked once. */
  topology(): Topology | undefined;
  /** Whether this coordinator answers for its shard, or stands by. */
  isActive(): boolean;
  /**
   * Why this shard may not answer now, for this slot or, without one, as a whole: it is not known whether it still owns it (UNAVAILABLE), or it is known
   * that it does not (MOVED). Undefined where it may.
   */
  objection(slot?: Slot): Fault | undefined;
  /** The coordinator beside this Redis node; undefined while there is no link to it. */
  peer(nodeId: string): PeerShard | undefined;
  /**
   * The same, where it has said that it stops, once it is back. Rejects with UNAVAILABLE at once where there is no link and it has not said so, and later where it is not back in time;
   * with RESOURCE_EXHAUSTED where too many wait.
   */
  whenBack(nodeId: string, context: CallContext): Promise<PeerShard>;
  slotOf(key: Uint8Array): Slot;
  /** Whether a call goes on where a MOVED sends it. In a manual topology only RefreshCluster tells where a slot is. */
  readonly followsMoved: boolean;
  /** Makes sure that the map is right about this one slot, where a peer thinks that it is this shard's. Rejects with UNAVAILABLE. */
  confirm(slot: Slot): Promise<void>;
  /** Whom the text of a MOVED or an ASK names, where the map has it. After a MOVED it is read anew soon. */
  namedBy(redirection: string): Shard | undefined;
  /** Told of each attempt that another one follows, for the metrics. */
  redirected(by: RedirectionKind): void;
}

/** What an attempt at a shard came back with: the slot is another's, is on its way, or has arrived in part only. */
export type RedirectionKind = "moved" | "ask" | "tryagain";

/** What a coordinator asks of another: each is the field of `gearmesh.v1.Request` that holds the encoded body. */
export type PeerRequest = "call" | "askingCall" | "runRemote" | "prepareLibrary" | "adoptLibrary" | "shareLibraries";

/** Another shard's coordinator. */
export interface PeerShard {
  /**
   * Resolves with the encoded result. Rejects with the far side's Fault; with UNAVAILABLE when the request was never sent, and
   * INDETERMINATE when the link was lost before the answer.
   */
  request(what: PeerRequest, body: Uint8Array, context: CallContext): Promise<Uint8Array>;
}

/** The newest map. Throws UNAVAILABLE as long as there is none. */
export function knownTopology(shards: Shards): Topology {
  const topology = shards.topology();
  if (!topology) throw new Fault("UNAVAILABLE", "this coordinator has not reached its Redis yet");
  return topology;
}

/** Throws UNAVAILABLE, which names the slot, where it has no owner. */
export function ownerOf(topology: Topology, slot: Slot): Shard {
  const owner = topology.ownerOf(slot);
  if (!owner) throw new Fault("UNAVAILABLE", `slot ${slot} has no owner`);
  return owner;
}
