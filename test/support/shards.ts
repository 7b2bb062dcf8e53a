import { Fault } from "../../src/base/fault.ts";
import type { Shards } from "../../src/functions/shards.ts";

/** What functions know of a cluster without peers and without a map, but for what `parts` say. */
export function shardsWith(parts: Partial<Shards>): Shards {
  return {
    topology: () => undefined,
    isActive: () => true,
    objection: () => undefined,
    peer: () => undefined,
    whenBack: () => Promise.reject(new Fault("UNAVAILABLE", "there is no link to the coordinator")),
    slotOf: () => 0,
    followsMoved: true,
    confirm: async () => undefined,
    namedBy: () => undefined,
    redirected: () => undefined,
    ...parts,
  };
}
