import { formatAddress } from "../base/address.ts";
import { deadlineIn } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { SLOT_COUNT, type SlotRange } from "../topology/topology.ts";
import {
  type ClusterMember,
  clusterMember,
  connectMember,
  introduce,
  nodesSeenBy,
  requireEmpty,
  settled,
  unknownNodes,
  unreachedNodes,
} from "./cluster-member.ts";
import { infoField } from "./info.ts";
import type { RedisEndpoint } from "./redis-endpoint.ts";

export interface FormClusterOptions {
  /** Of `n` nodes the first n / (1 + replicasPerMaster) become masters. Default: 0. */
  readonly replicasPerMaster?: number;
  /** Default: 30 s. Unit: ms. */
  readonly deadlineMs?: number;
}

interface Member extends ClusterMember {
  /** What a master shall own. */
  readonly slots: SlotRange | undefined;
  /** Whom a replica shall follow. */
  readonly master: RedisEndpoint | undefined;
}

/**
 * Makes one cluster of empty Redis servers that run in cluster mode, the slots spread evenly over the masters. Resolves once
 * every node sees every other one and all slots are served. Rejects with INVALID_ARGUMENT where these nodes cannot form one,
 * and with UNAVAILABLE and what is missing where one is not reachable or the deadline passes.
 */
export async function formCluster(nodes: readonly RedisEndpoint[], options: FormClusterOptions = {}): Promise<void> {
  const { replicasPerMaster = 0, deadlineMs = 30_000 } = options;
  const masterCount = nodes.length / (1 + replicasPerMaster);
  if (!Number.isInteger(masterCount) || masterCount < 1) {
    const split = `masters with ${replicasPerMaster} replicas each`;
    throw new Fault("INVALID_ARGUMENT", `${nodes.length} nodes cannot be divided into ${split}`);
  }
  const deadline = deadlineIn(deadlineMs);
  const members = nodes.map((endpoint, index) => plan(endpoint, index, nodes, masterCount));
  try {
    await Promise.all(members.map(connectMember));
    await Promise.all(members.map(requireEmpty));
    await Promise.all(members.map(assignSlots));
    await introduceAll(members);
    await settled(members, deadline, async (member) => unknownNodes(await nodesSeenBy(member), members.length));
    await replicate(members);
    await settled(members, deadline, (member) => unfinished(member, members));
  } finally {
    for (const { client } of members) client.disconnect();
  }
}

function plan(endpoint: RedisEndpoint, index: number, nodes: readonly RedisEndpoint[], masterCount: number): Member {
  const isMaster = index < masterCount;
  const firstSlotOf = (master: number) => Math.round((master * SLOT_COUNT) / masterCount);
  return {
    ...clusterMember(endpoint),
    slots: isMaster ? { start: firstSlotOf(index), end: firstSlotOf(index + 1) - 1 } : undefined,
    master: isMaster ? undefined : nodes[index % masterCount],
  };
}

/** Epochs differ from the start: nodes that share one would have to settle who is right first. */
async function assignSlots({ endpoint, client, slots }: Member, index: number): Promise<void> {
  try {
    await client.call("CLUSTER", "SET-CONFIG-EPOCH", index + 1);
    if (slots) await client.call("CLUSTER", "ADDSLOTSRANGE", slots.start, slots.end);
  } catch (cause) {
    throw new Fault("UNAVAILABLE", `Redis at ${formatAddress(endpoint)} took no slots: ${cause}`, { cause });
  }
}

async function introduceAll(members: readonly Member[]): Promise<void> {
  for (const [index, member] of members.entries()) await introduce(member, members.slice(0, index));
}

async function replicate(members: readonly Member[]): Promise<void> {
  const ids = new Map<RedisEndpoint, string>();
  for (const { endpoint, client } of members) ids.set(endpoint, String(await client.call("CLUSTER", "MYID")));
  for (const { master, client } of members) {
    if (master) await client.call("CLUSTER", "REPLICATE", ids.get(master) ?? "");
  }
}

async function unfinished(member: Member, members: readonly Member[]): Promise<string | undefined> {
  const seen = await nodesSeenBy(member);
  const replicas = seen.filter(({ masterId }) => masterId !== undefined).length;
  const expected = members.filter(({ master }) => master).length;
  if (replicas !== expected) return `sees ${replicas} of ${expected} replicas`;
  // Epochs travel by gossip, and decide who is right where two nodes claim a slot.
  const epochs = new Set(seen.map(({ epoch }) => epoch)).size;
  const masters = members.length - expected;
  if (epochs !== masters) return `knows the epochs of ${epochs} of ${masters} masters`;
  const cut = unreachedNodes(seen);
  if (cut !== undefined) return cut;
  const state = String(await member.client.call("CLUSTER", "INFO"));
  const served = infoField(state, "cluster_slots_ok");
  if (served !== String(SLOT_COUNT)) return `sees ${served} of ${SLOT_COUNT} slots served`;
  if (infoField(state, "cluster_state") !== "ok") return "does not serve yet";
  const replication = await member.client.info("replication");
  const isSynced = infoField(replication, "role") === "master" || infoField(replication, "master_link_status") === "up";
  return isSynced ? undefined : "has no copy of its master's data yet";
}
