import { Fault, type FaultCode, isFaultCode } from "../base/fault.ts";
import type { LocateKeyResponse__Output } from "../grpc/generated/gearmesh/v1/LocateKeyResponse.ts";
import type { Shard__Output } from "../grpc/generated/gearmesh/v1/Shard.ts";
import type { ShardRefresh__Output } from "../grpc/generated/gearmesh/v1/ShardRefresh.ts";
import type { Topology__Output } from "../grpc/generated/gearmesh/v1/Topology.ts";

/** The cluster as the coordinator that was asked sees it. */
export interface ClusterTopology {
  /** The coordinator's own counter of maps seen; says nothing between coordinators. */
  readonly version: number;
  /** Two coordinators with the same hash know the same owners of every slot. */
  readonly hash: string;
  /** Id of the Redis node the coordinator stands beside. */
  readonly nodeId: string;
  /** The coordinator's name, for example gearmesh-1. */
  readonly nodeName: string;
  readonly role: "active" | "standby";
  readonly mode: "auto" | "manual";
  /** In order of their lowest slot. */
  readonly shards: readonly ClusterShard[];
}

export interface ClusterShard {
  /** Id of the master's Redis node. */
  readonly id: string;
  readonly host: string;
  readonly port: number;
  /** Where its coordinator listens. */
  readonly coordinatorAddress: string;
  /** From start to end, both included. */
  readonly slots: readonly { readonly start: number; readonly end: number }[];
  /** The master's config epoch. */
  readonly epoch: number;
  /** The link from the coordinator that answers; `self` for its own shard. */
  readonly link: "self" | "open" | "connecting";
}

export interface KeyLocation {
  readonly slot: number;
  readonly shard: ClusterShard;
}

/** How a refresh went on one shard. */
export interface RefreshedShard {
  readonly shardId: string;
  readonly coordinatorAddress: string;
  readonly version: number;
  readonly hash: string;
  /** Set where it failed. */
  readonly fault?: Fault;
}

export function topologyOf(message: Topology__Output | null): ClusterTopology {
  if (!message) throw malformed();
  return {
    version: message.version,
    hash: message.hash,
    nodeId: message.nodeId,
    nodeName: message.nodeName,
    role: message.role === "ROLE_ACTIVE" ? "active" : "standby",
    mode: message.mode === "MODE_MANUAL" ? "manual" : "auto",
    shards: message.shards.map(shardOf),
  };
}

export function locationOf({ slot, shard }: LocateKeyResponse__Output): KeyLocation {
  if (!shard) throw malformed();
  return { slot, shard: shardOf(shard) };
}

export function refreshedShardOf({ fault, ...shard }: ShardRefresh__Output): RefreshedShard {
  if (!fault) return shard;
  const code: FaultCode = isFaultCode(fault.code) ? fault.code : "INTERNAL";
  return { ...shard, fault: new Fault(code, fault.message) };
}

const LINKS: Readonly<Record<Shard__Output["link"], ClusterShard["link"]>> = {
  LINK_STATE_UNSPECIFIED: "connecting",
  LINK_STATE_SELF: "self",
  LINK_STATE_OPEN: "open",
  LINK_STATE_CONNECTING: "connecting",
};

function shardOf(message: Shard__Output): ClusterShard {
  return { ...message, link: LINKS[message.link] };
}

function malformed(): Fault {
  return new Fault("INTERNAL", "the coordinator sent a malformed answer");
}
