import { formatAddress } from "../base/address.ts";
import { WireReader, WireWriter } from "../base/wire.ts";
import type { NodeId, SlotRange, Topology } from "./topology.ts";

/** What a coordinator says that its shard owns: what the map of this hash gives it, by this config epoch. */
export interface Claim {
  readonly nodeId: NodeId;
  readonly epoch: number;
  readonly topologyHash: string;
}

/** What another coordinator answers to a claim, by what its own Redis told it. */
export interface Confirmation {
  /** So long ago its Redis was asked. Unit: ms. */
  readonly ageMs: number;
  /** Who has slots by a higher epoch than the claim's. The claimant's are theirs now: in Redis Cluster the higher epoch has the slot. */
  readonly newerOwners: readonly NewerOwner[];
}

export interface NewerOwner {
  /** `host:port` of its Redis. */
  readonly address: string;
  readonly epoch: number;
  readonly slots: readonly SlotRange[];
}

/** Whom this map knows with a newer claim than that one: nobody where both know the same map. */
export function newerOwners({ hash, shards }: Topology, claim: Claim): readonly NewerOwner[] {
  if (hash === claim.topologyHash) return [];
  return shards
    .filter(({ id, epoch, slots }) => id !== claim.nodeId && epoch > claim.epoch && slots.length > 0)
    .map(({ address, epoch, slots }) => ({ address: formatAddress(address), epoch, slots }));
}

/** `gearmesh.v1.OwnershipConfirmation`. */
export function encodeConfirmation({ ageMs, newerOwners }: Confirmation): Buffer {
  const writer = new WireWriter().uint(1, Math.ceil(ageMs));
  for (const owner of newerOwners) writer.bytes(2, encodeNewerOwner(owner));
  return writer.finish();
}

/** Throws a WireError. */
export function decodeConfirmation(message: Uint8Array): Confirmation {
  let ageMs = 0;
  const newerOwners: NewerOwner[] = [];
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === 1) ageMs = reader.uint();
    else if (reader.field === 2) newerOwners.push(decodeNewerOwner(reader.bytes()));
  }
  return { ageMs, newerOwners };
}

function encodeNewerOwner({ address, epoch, slots }: NewerOwner): Buffer {
  const writer = new WireWriter().string(1, address).uint(2, epoch);
  for (const { start, end } of slots) writer.bytes(3, new WireWriter(8).uint(1, start).uint(2, end).finish());
  return writer.finish();
}

function decodeNewerOwner(message: Uint8Array): NewerOwner {
  let address = "";
  let epoch = 0;
  const slots: SlotRange[] = [];
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === 1) address = reader.string();
    else if (reader.field === 2) epoch = reader.uint();
    else if (reader.field === 3) slots.push(decodeSlotRange(reader.bytes()));
  }
  return { address, epoch, slots };
}

function decodeSlotRange(message: Uint8Array): SlotRange {
  let start = 0;
  let end = 0;
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === 1) start = reader.uint();
    else if (reader.field === 2) end = reader.uint();
  }
  return { start, end };
}
