import { createHash } from "node:crypto";
import type { ClusterView } from "./cluster-view.ts";
import {
  type NodeId,
  type Replica,
  type Shard,
  SLOT_COUNT,
  type Slot,
  type SlotRange,
  type Topology,
} from "./topology.ts";

const NO_OWNER = 0xffff;

/** The one implementation of Topology: two bytes for each slot, so that finding an owner is one read. */
export class SlotMap implements Topology {
  readonly version: number;
  readonly hash: string;
  readonly self: NodeId;
  readonly selfShard: NodeId;
  readonly ownShard: Shard | undefined;
  readonly shards: readonly Shard[];
  readonly replicas: readonly Replica[];
  /** Index into `shards`. */
  readonly #owners: Uint16Array;

  private constructor(version: number, view: ClusterView, owners: Uint16Array) {
    const rangesOf = rangesByOwner(owners, view.shards.length);
    const shards = view.shards.map((shard, index) => ({ ...shard, slots: rangesOf[index] ?? [] }));
    const order = [...shards.keys()].sort((a, b) => compareShards(shards[a], shards[b]));
    const newIndex = new Uint16Array(order.length);
    order.forEach((oldIndex, index) => {
      newIndex[oldIndex] = index;
    });
    this.version = version;
    this.self = view.self;
    this.selfShard = view.selfShard;
    this.shards = order.flatMap((index) => shards[index] ?? []);
    this.ownShard = this.shards.find(({ id }) => id === view.selfShard);
    this.replicas = [...view.replicas].sort((a, b) => compareText(a.id, b.id));
    this.hash = hashOf(this.shards);
    this.#owners = owners.map((owner) => newIndex[owner] ?? NO_OWNER);
  }

  static from(view: ClusterView, version: number): SlotMap {
    const owners = new Uint16Array(SLOT_COUNT).fill(NO_OWNER);
    const byAuthority = [...view.shards].sort((a, b) => a.epoch - b.epoch || compareText(b.id, a.id));
    byAuthority.forEach((shard, index) => {
      for (const { start, end } of shard.slots) owners.fill(index, start, end + 1);
    });
    return new SlotMap(version, { ...view, shards: byAuthority }, owners);
  }

  ownerOf(slot: Slot): Shard | undefined {
    return this.shards[this.#owners[slot] ?? NO_OWNER];
  }

  /**
   * What is learnt of one slot, and only that: its owner, and perhaps the epoch by which that has it. The same map where it knew both, or does not know
   * the owner: an address alone is no shard, and the refresh that follows brings the rest.
   */
  withOwner(slot: Slot, owner: NodeId, epoch = 0): SlotMap {
    const index = this.shards.findIndex(({ id }) => id === owner);
    const shard = this.shards[index];
    if (!shard || (this.#owners[slot] === index && epoch <= shard.epoch)) return this;
    const owners = this.#owners.slice();
    owners[slot] = index;
    const shards = this.shards.with(index, { ...shard, epoch: Math.max(shard.epoch, epoch) });
    return new SlotMap(this.version + 1, { ...this.#view(), shards }, owners);
  }

  /** Whether the two say the same; a version says only when. */
  equals(other: SlotMap): boolean {
    return (
      this.hash === other.hash &&
      this.self === other.self &&
      this.selfShard === other.selfShard &&
      areSameNodes(this.shards, other.shards) &&
      areSameNodes(this.replicas, other.replicas)
    );
  }

  #view(): ClusterView {
    const { self, selfShard, shards, replicas } = this;
    return { self, selfShard, shards, replicas };
  }
}

function rangesByOwner(owners: Uint16Array, count: number): SlotRange[][] {
  const ranges: SlotRange[][] = Array.from({ length: count }, () => []);
  for (let start = 0; start < SLOT_COUNT; ) {
    const owner = owners[start];
    let end = start;
    while (end + 1 < SLOT_COUNT && owners[end + 1] === owner) end++;
    if (owner !== undefined) ranges[owner]?.push({ start, end });
    start = end + 1;
  }
  return ranges;
}

function compareShards(a: Shard | undefined, b: Shard | undefined): number {
  const lowest = (shard: Shard | undefined) => shard?.slots[0]?.start ?? SLOT_COUNT;
  return lowest(a) - lowest(b) || compareText(a?.id ?? "", b?.id ?? "");
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Where the nodes are, and of replicas also which they are. */
function areSameNodes(some: readonly Replica[], others: readonly Replica[]): boolean {
  return (
    some.length === others.length &&
    some.every(({ id, address: { host, port } }, index) => {
      const other = others[index];
      return id === other?.id && host === other.address.host && port === other.address.port;
    })
  );
}

function hashOf(shards: readonly Shard[]): string {
  const lines = shards.map(({ id, epoch, slots }) =>
    JSON.stringify([id, epoch, slots.map(({ start, end }) => [start, end])]),
  );
  return createHash("sha256").update(lines.sort(compareText).join("\n")).digest("hex");
}
