import { deadlineIn } from "../base/deadline.ts";
import type { SlotRange } from "../topology/topology.ts";
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
import type { RedisEndpoint } from "./redis-endpoint.ts";

/** Longest until every node sees the new one. Unit: ms. */
const JOIN_TIMEOUT_MS = 30_000;
/** Keys that one MIGRATE takes along, and how long it may take. Unit: ms. */
const MIGRATE_KEYS = 100;
const MIGRATE_TIMEOUT_MS = 5_000;

/**
 * Makes an empty Redis server a master without slots of the cluster whose nodes, all of them, are given. Resolves once every node sees every
 * other one. Rejects as formCluster does.
 */
export async function joinCluster(newcomer: RedisEndpoint, nodes: readonly RedisEndpoint[]): Promise<void> {
  const joining = clusterMember(newcomer);
  const members = nodes.map(clusterMember);
  const all = [...members, joining];
  try {
    await Promise.all(all.map(connectMember));
    await requireEmpty(joining);
    await introduce(joining, members);
    await settled(all, deadlineIn(JOIN_TIMEOUT_MS), async (member) => {
      const seen = await nodesSeenBy(member);
      return unknownNodes(seen, all.length) ?? unreachedNodes(seen);
    });
  } finally {
    for (const { client } of all) client.disconnect();
  }
}

/**
 * Moves slots and their keys from one master to another, one slot after the other. The other nodes learn of it by gossip, since the new owner
 * takes a newer epoch.
 */
export async function moveSlots(slots: SlotRange, from: RedisEndpoint, to: RedisEndpoint): Promise<void> {
  const [source, target] = [clusterMember(from), clusterMember(to)];
  try {
    await Promise.all([source, target].map(connectMember));
    const [sourceId, targetId] = await Promise.all(
      [source, target].map(({ client }) => client.call("CLUSTER", "MYID")),
    );
    for (let slot = slots.start; slot <= slots.end; slot++) {
      await target.client.call("CLUSTER", "SETSLOT", slot, "IMPORTING", String(sourceId));
      await source.client.call("CLUSTER", "SETSLOT", slot, "MIGRATING", String(targetId));
      await moveKeys(slot, source, to);
      // The new owner first: until the old one is told, it sends callers there.
      for (const { client } of [target, source])
        await client.call("CLUSTER", "SETSLOT", slot, "NODE", String(targetId));
    }
  } finally {
    for (const { client } of [source, target]) client.disconnect();
  }
}

async function moveKeys(slot: number, { client }: ClusterMember, { host, port }: RedisEndpoint): Promise<void> {
  for (;;) {
    const keys = (await client.callBuffer("CLUSTER", "GETKEYSINSLOT", slot, MIGRATE_KEYS)) as Buffer[];
    if (keys.length === 0) return;
    await client.call("MIGRATE", host, port, "", 0, MIGRATE_TIMEOUT_MS, "KEYS", ...keys);
  }
}
