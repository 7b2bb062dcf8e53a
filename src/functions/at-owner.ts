import { backoffMs } from "../base/backoff.ts";
import type { CallContext } from "../base/call-context.ts";
import { remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Shard, Slot, Topology } from "../topology/topology.ts";
import type { Shards } from "./shards.ts";

/** Between attempts, from the third on: two shards may name each other until both have heard of a move. */
const PAUSE = { initialMs: 5, maxMs: 200 };

/** The newest map. Throws UNAVAILABLE as long as there is none. */
export function knownTopology(shards: Shards): Topology {
  const topology = shards.topology();
  if (!topology) throw new Fault("UNAVAILABLE", "this coordinator has not reached its Redis yet");
  return topology;
}

/** Throws UNAVAILABLE, which names the slot, where it has no owner. */
export function ownerOf(topology: Topology, slot: Slot): Shard {
  const owner = topology.ownerOf(slot);
  if (!owner) throw new Fault("UNAVAILABLE", `slot ${slot} has no owner`);
  return owner;
}

/**
 * Makes the attempt at the slot's owner and, as often as that says MOVED, at the one it names, or that a newer map has, until the deadline. An
 * attempt that ends with MOVED has changed nothing.
 */
export async function atOwner<T>(
  shards: Shards,
  slot: Slot,
  { deadline, signal }: CallContext,
  attempt: (owner: Shard, topology: Topology) => Promise<T>,
): Promise<T> {
  let named: Shard | undefined;
  for (let moves = 0; ; moves++) {
    const topology = knownTopology(shards);
    try {
      return await attempt(named ?? ownerOf(topology, slot), topology);
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (fault.code !== "MOVED" || !shards.followsMoved) throw fault;
      named = shards.namedBy(fault.message);
      const pauseMs = moves === 0 && named ? 0 : backoffMs(moves, PAUSE);
      if (signal.aborted || remainingMs(deadline) <= pauseMs) throw fault;
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
