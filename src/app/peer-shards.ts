import { type Address, formatAddress } from "../base/address.ts";
import type { CallContext } from "../base/call-context.ts";
import type { PeerRequest, PeerShard } from "../functions/shards.ts";
import type { Mesh } from "../mesh/mesh.ts";
import type { PeerAddress } from "../mesh/mesh-parts.ts";
import { METHOD, type Method, type Peer } from "../mesh/method.ts";
import type { Topology } from "../topology/topology.ts";

const METHOD_OF: Record<PeerRequest, Method> = {
  call: METHOD.CALL,
  askingCall: METHOD.ASKING_CALL,
  runRemote: METHOD.RUN_REMOTE,
  prepareLibrary: METHOD.PREPARE_LIBRARY,
  adoptLibrary: METHOD.ADOPT_LIBRARY,
  shareLibraries: METHOD.SHARE_LIBRARIES,
};

/** The coordinator beside a Redis node as functions see it, while there is a link to it. */
export function peerShard(mesh: Mesh, nodeId: string): PeerShard | undefined {
  const peer = mesh.servingPeer(nodeId);
  return peer && shardBehind(peer);
}

/** The same, where it has said that it goes, once it is back. Rejects as `Mesh.whenBack` does. */
export async function returnedShard(mesh: Mesh, nodeId: string, context: CallContext): Promise<PeerShard> {
  return shardBehind(await mesh.whenBack(nodeId, context));
}

function shardBehind(peer: Peer): PeerShard {
  return { request: (what, body, context) => peer.request(METHOD_OF[what], body, context) };
}

export interface PeerAddressing {
  /** Coordinators that are elsewhere, by `host:port` of their Redis node. */
  readonly peerAddresses: ReadonlyMap<string, Address>;
  readonly peerPortOffset: number;
}

/** Where the coordinator of a Redis node listens: on the same host, at the Redis port plus the offset, unless the settings say otherwise. */
export function coordinatorAddress(redis: Address, settings: PeerAddressing): string {
  return formatAddress(coordinatorAddressOf(redis, settings));
}

/**
 * Whom this coordinator keeps links to: every Redis node's coordinator, so that one whose replica is promoted is reached at once. That is also the one
 * beside its own Redis, where another one is active there: a coordinator that stands by forwards to it.
 */
export function peerAddresses(
  topology: Topology,
  settings: PeerAddressing & { readonly listen: Address },
): PeerAddress[] {
  return [...topology.shards, ...topology.replicas].flatMap(({ id, address }) => {
    const elsewhere = coordinatorAddressOf(address, settings);
    return id === topology.self && elsewhere.port === settings.listen.port
      ? []
      : [{ nodeId: id, address: formatAddress(elsewhere) }];
  });
}

function coordinatorAddressOf(redis: Address, { peerAddresses, peerPortOffset }: PeerAddressing): Address {
  return peerAddresses.get(formatAddress(redis)) ?? { host: redis.host, port: redis.port + peerPortOffset };
}
