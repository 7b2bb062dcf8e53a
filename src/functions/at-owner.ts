import { nextAttempt } from "../base/attempts.ts";
import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import type { Shard, Slot, Topology } from "../topology/topology.ts";
import { knownTopology, ownerOf, type RedirectionKind, type Shards } from "./shards.ts";

/** Where an attempt is made. */
export interface Place {
  readonly shard: Shard;
  /** The map that it was found in, or that was known when it was named. */
  readonly topology: Topology;
  /** The slot is only on its way there; see Run. */
  readonly asking: boolean;
}

/**
 * Makes the attempt at the slot's owner and, as often as that fails with MOVED, where its text sends it, until the deadline: `MOVED` to the owner
 * that it names, or that a newer map has; `ASK` to the shard that the slot is on its way to; `TRYAGAIN`, since not all of its keys have arrived, to
 * the same one again. An attempt that ends with MOVED has changed nothing.
 */
export async function atOwner<T>(
  shards: Shards,
  slot: Slot,
  context: CallContext,
  attempt: (place: Place) => Promise<T>,
): Promise<T> {
  let shard: Shard | undefined;
  let asking = false;
  for (let redirections = 0; ; redirections++) {
    const topology = knownTopology(shards);
    try {
      return await attempt({ shard: shard ?? ownerOf(topology, slot), topology, asking });
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (fault.code !== "MOVED" || !shards.followsMoved) throw fault;
      const kind = kindOf(fault.message);
      if (kind !== "tryagain") {
        shard = shards.namedBy(fault.message);
        asking = shard !== undefined && kind === "ask";
      }
      if (!(await nextAttempt(context, redirections, redirections === 0 && shard !== undefined))) throw fault;
      shards.redirected(kind);
    }
  }
}

function kindOf(text: string): RedirectionKind {
  if (text.startsWith("TRYAGAIN ")) return "tryagain";
  return text.startsWith("ASK ") ? "ask" : "moved";
}
