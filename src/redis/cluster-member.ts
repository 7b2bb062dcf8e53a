import { lookup } from "node:dns/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import { formatAddress } from "../base/address.ts";
import { type Deadline, remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { type ClusterNode, parseClusterNodes } from "./cluster-nodes.ts";
import { createControlClient } from "./control-client.ts";
import { infoField } from "./info.ts";
import type { RedisEndpoint } from "./redis-endpoint.ts";

/** A Redis server that is, or becomes, a node of a cluster that we build. */
export interface ClusterMember {
  readonly endpoint: RedisEndpoint;
  /** To be connected before use. */
  readonly client: Redis;
}

const POLL_MS = 50;

export function clusterMember(endpoint: RedisEndpoint): ClusterMember {
  const onError = () => {
    // The command that met the error rejects with it.
  };
  return { endpoint, client: createControlClient(endpoint, { onError }) };
}

/** Rejects with UNAVAILABLE. */
export async function connectMember({ endpoint, client }: ClusterMember): Promise<void> {
  await client.connect().catch((cause: unknown) => {
    throw new Fault("UNAVAILABLE", `Redis at ${formatAddress(endpoint)} is not reachable`, { cause });
  });
}

/** Rejects with INVALID_ARGUMENT where it cannot become part of a cluster. */
export async function requireEmpty({ endpoint, client }: ClusterMember): Promise<void> {
  const where = `Redis at ${formatAddress(endpoint)}`;
  if (infoField(await client.info("cluster"), "cluster_enabled") !== "1") {
    throw new Fault("INVALID_ARGUMENT", `${where} does not run in cluster mode; set cluster-enabled yes`);
  }
  const state = String(await client.call("CLUSTER", "INFO"));
  const isAlone = infoField(state, "cluster_known_nodes") === "1" && infoField(state, "cluster_slots_assigned") === "0";
  if (!isAlone || (await client.dbsize()) > 0) {
    throw new Fault("INVALID_ARGUMENT", `${where} is not empty: it has keys, or is part of a cluster already`);
  }
}

/** All of `others` meet it at once: gossip from one node alone takes seconds to reach all. */
export async function introduce({ endpoint, client }: ClusterMember, others: readonly ClusterMember[]): Promise<void> {
  const { address } = await lookup(endpoint.host); // MEET takes no names
  const bus = await client.config("GET", "cluster-port");
  const busPort = Array.isArray(bus) ? Number(bus[1] ?? 0) : 0;
  const target = [address, endpoint.port, ...(busPort > 0 ? [busPort] : [])];
  await Promise.all(others.map((other) => other.client.call("CLUSTER", "MEET", ...target)));
}

/** Resolves once `complaintOf` has none for any member; rejects with UNAVAILABLE and the complaints at the deadline. */
export async function settled<M extends ClusterMember>(
  members: readonly M[],
  deadline: Deadline,
  complaintOf: (member: M) => Promise<string | undefined>,
): Promise<void> {
  for (;;) {
    const complaints = await Promise.all(
      members.map(async (member) => {
        const complaint = await complaintOf(member).catch(String);
        return complaint === undefined ? [] : [`${formatAddress(member.endpoint)} ${complaint}`];
      }),
    );
    const missing = complaints.flat();
    if (missing.length === 0) return;
    if (remainingMs(deadline) === 0) {
      throw new Fault("UNAVAILABLE", `the cluster did not form in time: ${missing.join("; ")}`);
    }
    await delay(POLL_MS);
  }
}

export async function nodesSeenBy({ client }: ClusterMember): Promise<readonly ClusterNode[]> {
  return parseClusterNodes(String(await client.call("CLUSTER", "NODES")));
}

export function unknownNodes(seen: readonly ClusterNode[], expected: number): string | undefined {
  const known = seen.filter(({ flags }) => !flags.has("handshake") && !flags.has("noaddr"));
  return known.length === expected ? undefined : `sees ${known.length} of ${expected} nodes`;
}

export function unreachedNodes(seen: readonly ClusterNode[]): string | undefined {
  const cut = seen.filter(({ flags, isLinkConnected }) => flags.has("fail?") || flags.has("fail") || !isLinkConnected);
  return cut.length > 0 ? `does not reach ${cut.map(({ address }) => formatAddress(address)).join(", ")}` : undefined;
}
