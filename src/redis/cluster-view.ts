import type { Redis } from "ioredis";
import { type Address, formatAddress } from "../base/address.ts";
import { Fault } from "../base/fault.ts";
import type { ClusterView, ClusterViewSource, SlotAnswer } from "../topology/cluster-view.ts";
import { type NodeId, type Replica, type Shard, SLOT_COUNT, type Slot } from "../topology/topology.ts";
import { type ClusterNode, parseClusterNodes } from "./cluster-nodes.ts";
import { parseEndpoints } from "./cluster-shards.ts";
import { infoField } from "./info.ts";
import { keysBySlot } from "./key-slot.ts";
import type { RedisEndpoint } from "./redis-endpoint.ts";

/** Reads the view of the Redis node beside this coordinator. */
export class RedisClusterView implements ClusterViewSource {
  readonly #client: Redis;
  readonly #endpoint: RedisEndpoint;
  /** Some key of each slot, once one was needed. */
  #keys: readonly string[] | undefined;

  constructor(client: Redis, endpoint: RedisEndpoint) {
    this.#client = client;
    this.#endpoint = endpoint;
  }

  async read(): Promise<ClusterView> {
    try {
      const info = await this.#client.info();
      if (infoField(info, "cluster_enabled") !== "1")
        return singleInstance(infoField(info, "run_id") ?? "", this.#endpoint);
      const [myId, nodes, shards] = await Promise.all([
        this.#client.call("CLUSTER", "MYID"),
        this.#client.call("CLUSTER", "NODES"),
        // Unknown to Redis 6, whose CLUSTER NODES tells enough.
        this.#client.call("CLUSTER", "SHARDS").catch(() => []),
      ]);
      const endpoints = parseEndpoints(shards);
      return clusterView(String(myId), parseClusterNodes(String(nodes)), endpoints, this.#endpoint.host);
    } catch (cause) {
      const where = formatAddress(this.#endpoint);
      throw new Fault("UNAVAILABLE", `Redis at ${where} did not tell its topology: ${cause}`, { cause });
    }
  }

  async ask(slot: Slot): Promise<SlotAnswer> {
    this.#keys ??= keysBySlot();
    const [exists, info] = await Promise.allSettled([
      this.#client.exists(this.#keys[slot] ?? ""),
      this.#client.call("CLUSTER", "INFO"),
    ]);
    const refusal = exists.status === "rejected" ? (exists.reason as Error).message : "";
    if (refusal.startsWith("MOVED ")) return { kind: "moved", text: refusal };
    // With ASK the slot is on its way elsewhere, and this key is not here: its owner is.
    if ((refusal === "" || refusal.startsWith("ASK ")) && info.status === "fulfilled") {
      return { kind: "own", epoch: Number(infoField(String(info.value), "cluster_my_epoch") ?? 0) };
    }
    const where = formatAddress(this.#endpoint);
    throw new Fault("UNAVAILABLE", `Redis at ${where} did not say who has slot ${slot}: ${refusal}`);
  }
}

/** A Redis without cluster mode owns every slot. */
export function singleInstance(runId: string, { host, port }: Address): ClusterView {
  const slots = [{ start: 0, end: SLOT_COUNT - 1 }];
  return {
    self: runId,
    selfShard: runId,
    shards: [{ id: runId, address: { host, port }, slots, epoch: 0 }],
    replicas: [],
  };
}

/**
 * Owners and epochs come from CLUSTER NODES alone, so that one reply decides; CLUSTER SHARDS adds where each node wants to be reached.
 * `ownHost` is where we reach the node that was asked, which stands for a host it does not name.
 */
export function clusterView(
  self: NodeId,
  nodes: readonly ClusterNode[],
  endpoints: ReadonlyMap<NodeId, Partial<Address>>,
  ownHost: string,
): ClusterView {
  const addressOf = ({ id, address }: ClusterNode): Address => {
    const { host, port } = { ...address, ...endpoints.get(id) };
    return { host: host || ownHost, port };
  };
  return {
    self,
    selfShard: nodes.find(({ id }) => id === self)?.masterId ?? self,
    shards: nodes
      .filter(isShard)
      .map((node): Shard => ({ id: node.id, address: addressOf(node), slots: node.slots, epoch: node.epoch })),
    replicas: nodes.filter(isReplica).map((node): Replica => ({ id: node.id, address: addressOf(node) })),
  };
}

function isReplica({ flags }: ClusterNode): boolean {
  return flags.has("slave") && !(flags.has("fail") || flags.has("noaddr") || flags.has("handshake"));
}

/** A master that failed is still the owner of its slots, until another one is; without slots it is only a memory. */
function isShard({ flags, slots }: ClusterNode): boolean {
  if (!flags.has("master") || flags.has("handshake")) return false;
  return slots.length > 0 || !(flags.has("fail") || flags.has("noaddr"));
}
