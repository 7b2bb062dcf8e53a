import type { ServerWritableStream, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import type { ShardRefresh } from "../topology/cluster-refresh.ts";
import type { Shard, Slot, Topology } from "../topology/topology.ts";
import type { GetTopologyRequest__Output } from "./generated/gearmesh/v1/GetTopologyRequest.ts";
import type { GetTopologyResponse } from "./generated/gearmesh/v1/GetTopologyResponse.ts";
import type { LocateKeyRequest__Output } from "./generated/gearmesh/v1/LocateKeyRequest.ts";
import type { LocateKeyResponse } from "./generated/gearmesh/v1/LocateKeyResponse.ts";
import type { RefreshClusterRequest__Output } from "./generated/gearmesh/v1/RefreshClusterRequest.ts";
import type { RefreshClusterResponse } from "./generated/gearmesh/v1/RefreshClusterResponse.ts";
import type { Shard as ShardMessage } from "./generated/gearmesh/v1/Shard.ts";
import type { Topology as TopologyMessage } from "./generated/gearmesh/v1/Topology.ts";
import type { WatchTopologyRequest__Output } from "./generated/gearmesh/v1/WatchTopologyRequest.ts";
import type { WatchTopologyResponse } from "./generated/gearmesh/v1/WatchTopologyResponse.ts";
import { type UnaryParts, unary } from "./unary.ts";

export interface TopologyServiceParts extends UnaryParts {
  readonly topology: () => Topology | undefined;
  /** Calls back after each change, until the returned function is called. */
  readonly onChange: (listener: () => void) => () => void;
  readonly refreshCluster: (context: CallContext) => Promise<readonly ShardRefresh[]>;
  readonly slotOf: (key: Uint8Array) => Slot;
  readonly coordinatorAddress: (shard: Shard) => string;
  readonly isLinked: (nodeId: string) => boolean;
  readonly isActive: () => boolean;
  readonly mode: "auto" | "manual";
  readonly nodeName: () => string;
}

export function topologyService(parts: TopologyServiceParts): UntypedServiceImplementation {
  return {
    RefreshCluster: unary<RefreshClusterRequest__Output, RefreshClusterResponse>(parts, async (_request, context) => ({
      shards: (await parts.refreshCluster(context)).map(({ shard, outcome }) => ({
        shardId: shard.id,
        coordinatorAddress: parts.coordinatorAddress(shard),
        ...(outcome instanceof Fault ? { fault: { code: outcome.code, message: outcome.message } } : outcome),
      })),
    })),
    GetTopology: unary<GetTopologyRequest__Output, GetTopologyResponse>(parts, () => ({
      topology: topologyMessage(parts, known(parts)),
    })),
    WatchTopology: (call: ServerWritableStream<WatchTopologyRequest__Output, WatchTopologyResponse>) =>
      watch(parts, call),
    LocateKey: unary<LocateKeyRequest__Output, LocateKeyResponse>(parts, ({ key }) => {
      const topology = known(parts);
      const slot = parts.slotOf(key);
      const owner = topology.ownerOf(slot);
      if (!owner) throw new Fault("UNAVAILABLE", `slot ${slot} has no owner`);
      return { slot, shard: shardMessage(parts, topology, owner) };
    }),
  };
}

/** A slow watcher misses maps that were replaced meanwhile, and always gets the newest. */
function watch(
  parts: TopologyServiceParts,
  call: ServerWritableStream<WatchTopologyRequest__Output, WatchTopologyResponse>,
): void {
  let writable = true;
  let sentVersion: number | undefined;
  const push = (): void => {
    const topology = parts.topology();
    if (!topology || !writable || topology.version === sentVersion) return;
    sentVersion = topology.version;
    writable = call.write({ topology: topologyMessage(parts, topology) });
  };
  const stop = parts.onChange(push);
  call.on("drain", () => {
    writable = true;
    push();
  });
  call.on("cancelled", () => {
    stop();
    call.end();
  });
  push();
}

function known(parts: TopologyServiceParts): Topology {
  const topology = parts.topology();
  if (!topology) throw new Fault("UNAVAILABLE", "this coordinator has not reached its Redis yet");
  return topology;
}

function topologyMessage(parts: TopologyServiceParts, topology: Topology): TopologyMessage {
  return {
    version: topology.version,
    hash: topology.hash,
    nodeId: topology.self,
    nodeName: parts.nodeName(),
    role: parts.isActive() ? "ROLE_ACTIVE" : "ROLE_STANDBY",
    mode: parts.mode === "auto" ? "MODE_AUTO" : "MODE_MANUAL",
    shards: topology.shards.map((shard) => shardMessage(parts, topology, shard)),
  };
}

function shardMessage(parts: TopologyServiceParts, topology: Topology, shard: Shard): ShardMessage {
  const isSelf = shard.id === topology.selfShard;
  return {
    id: shard.id,
    host: shard.address.host,
    port: shard.address.port,
    coordinatorAddress: parts.coordinatorAddress(shard),
    slots: shard.slots.map(({ start, end }) => ({ start, end })),
    epoch: shard.epoch,
    link: isSelf ? "LINK_STATE_SELF" : parts.isLinked(shard.id) ? "LINK_STATE_OPEN" : "LINK_STATE_CONNECTING",
  };
}
