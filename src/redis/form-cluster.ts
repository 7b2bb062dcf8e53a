import { lookup } from "node:dns/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import { formatAddress } from "../base/address.ts";
import { type Deadline, deadlineIn, remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { SLOT_COUNT, type SlotRange } from "../topology/topology.ts";
import { type ClusterNode, parseClusterNodes } from "./cluster-nodes.ts";
import { createControlClient } from "./control-client.ts";
import { infoField } from "./info.ts";
import type { RedisEndpoint } from "./redis-endpoint.ts";

export interface FormClusterOptions {
  /** Of `n` nodes the first n / (1 + replicasPerMaster) become masters. Default: 0. */
  readonly replicasPerMaster?: number;
  /** Default: 30 s. Unit: ms. */
  readonly deadlineMs?: number;
}

interface Member {
  readonly endpoint: RedisEndpoint;
  readonly client: Redis;
  /** What a master shall own. */
  readonly slots: SlotRange | undefined;
  /** Whom a replica shall follow. */
  readonly master: RedisEndpoint | undefined;
}

const POLL_MS = 50;

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
    await Promise.all(members.map(requireEmpty));
    await Promise.all(members.map(assignSlots));
    await introduce(members);
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
    endpoint,
    client: createControlClient(endpoint, {
      onError: () => {
        // The command that met the error rejects with it.
      },
    }),
    slots: isMaster ? { start: firstSlotOf(index), end: firstSlotOf(index + 1) - 1 } : undefined,
    master: isMaster ? undefined : nodes[index % masterCount],
  };
}

async function requireEmpty({ endpoint, client }: Member): Promise<void> {
  const where = `Redis at ${formatAddress(endpoint)}`;
  await client.connect().catch((cause: unknown) => {
    throw new Fault("UNAVAILABLE", `${where} is not reachable`, { cause });
  });
  if (infoField(await client.info("cluster"), "cluster_enabled") !== "1") {
    throw new Fault("INVALID_ARGUMENT", `${where} does not run in cluster mode; set cluster-enabled yes`);
  }
  const state = String(await client.call("CLUSTER", "INFO"));
  const isAlone = infoField(state, "cluster_known_nodes") === "1" && infoField(state, "cluster_slots_assigned") === "0";
  if (!isAlone || (await client.dbsize()) > 0) {
    throw new Fault("INVALID_ARGUMENT", `${where} is not empty: it has keys, or is part of a cluster already`);
  }
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

/** Each pair meets at once: gossip from one node alone takes seconds to reach all. */
async function introduce(members: readonly Member[]): Promise<void> {
  for (const [index, { endpoint, client }] of members.entries()) {
    const { address } = await lookup(endpoint.host); // MEET takes no names
    const bus = await client.config("GET", "cluster-port");
    const busPort = Array.isArray(bus) ? Number(bus[1] ?? 0) : 0;
    const target = [address, endpoint.port, ...(busPort > 0 ? [busPort] : [])];
    await Promise.all(members.slice(0, index).map((other) => other.client.call("CLUSTER", "MEET", ...target)));
  }
}

async function replicate(members: readonly Member[]): Promise<void> {
  const ids = new Map<RedisEndpoint, string>();
  for (const { endpoint, client } of members) ids.set(endpoint, String(await client.call("CLUSTER", "MYID")));
  for (const { master, client } of members) {
    if (master) await client.call("CLUSTER", "REPLICATE", ids.get(master) ?? "");
  }
}

/** Resolves once `complaintOf` has none for any member. */
async function settled(
  members: readonly Member[],
  deadline: Deadline,
  complaintOf: (member: Member) => Promise<string | undefined>,
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

async function nodesSeenBy({ client }: Member): Promise<readonly ClusterNode[]> {
  return parseClusterNodes(String(await client.call("CLUSTER", "NODES")));
}

function unknownNodes(seen: readonly ClusterNode[], expected: number): string | undefined {
  const known = seen.filter(({ flags }) => !flags.has("handshake") && !flags.has("noaddr"));
  return known.length === expected ? undefined : `sees ${known.length} of ${expected} nodes`;
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
  const cut = seen.filter(({ flags, isLinkConnected }) => flags.has("fail?") || flags.has("fail") || !isLinkConnected);
  if (cut.length > 0) return `does not reach ${cut.map(({ address }) => formatAddress(address)).join(", ")}`;
  const state = String(await member.client.call("CLUSTER", "INFO"));
  const served = infoField(state, "cluster_slots_ok");
  if (served !== String(SLOT_COUNT)) return `sees ${served} of ${SLOT_COUNT} slots served`;
  if (infoField(state, "cluster_state") !== "ok") return "does not serve yet";
  const replication = await member.client.info("replication");
  const isSynced = infoField(replication, "role") === "master" || infoField(replication, "master_link_status") === "up";
  return isSynced ? undefined : "has no copy of its master's data yet";
}
