import { formatAddress } from "../base/address.ts";
import { Fault } from "../base/fault.ts";
import type { Slot } from "../topology/topology.ts";
import type { Run } from "./sandbox-port.ts";
import { knownTopology, ownerOf, type Shards } from "./shards.ts";

/** How a run came to be this shard's. */
export interface Routed {
  /** Of the key that it was routed by; undefined: it was not routed by one. */
  readonly slot: Slot | undefined;
  /** See Run: the shard need not own the slot, and Redis itself says whether it is on its way. */
  readonly asking: boolean;
}

/** Whoever sent the run here may know a newer map. Redis is asked, since it alone says what is its own. */
export async function confirmOwner(shards: Shards, { slot, asking }: Routed): Promise<void> {
  if (slot === undefined || asking) return;
  const topology = shards.topology();
  if (topology && topology.ownerOf(slot)?.id !== topology.selfShard) await shards.confirm(slot);
}

/** Throws unless this coordinator answers for its shard, and its shard for the slot. */
export function assertAnswerable(shards: Shards, kind: Run["kind"], { slot, asking }: Routed): void {
  // It was for this coordinator, and Redis itself says what its blocks may do there.
  if (slot === undefined && isForAnyCoordinator(kind)) return;
  const topology = knownTopology(shards);
  const ownSlot = asking ? undefined : slot;
  const owner = ownSlot === undefined ? undefined : ownerOf(topology, ownSlot);
  // Also where our Redis became its replica: whoever asks goes on there.
  if (owner && owner.id !== topology.self) {
    throw new Fault("MOVED", `MOVED ${ownSlot} ${formatAddress(owner.address)}`);
  }
  if (!shards.isActive()) {
    throw new Fault(
      "UNAVAILABLE",
      "this coordinator stands by: its Redis is a replica or away, or another coordinator is active beside it",
    );
  }
  // Without keys it was for whichever shard it came to, and for no data of this one.
  if (slot === undefined && kind === "function") return;
  const objection = shards.objection(ownSlot);
  if (objection) throw objection;
}

/** After Redis replied: the slot, or the shard, may have left while the function ran. A call that may have written must not run again. */
export function assertStillAnswerable(shards: Shards, kind: Run["kind"], routed: Routed, mayWrite: boolean): void {
  try {
    assertAnswerable(shards, kind, routed);
  } catch (thrown) {
    const { message } = Fault.from(thrown);
    if (mayWrite) throw new Fault("INDETERMINATE", `the ${kind} has run, but then: ${message}`);
    throw thrown;
  }
}

/** Methods and tasks run wherever they come to. */
function isForAnyCoordinator(kind: Run["kind"]): boolean {
  return kind === "method" || kind === "task" || kind === "middleware";
}
