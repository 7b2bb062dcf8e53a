import { Fault } from "../base/fault.ts";
import type { Confirmation, NewerOwner } from "./confirmation.ts";
import type { NodeId, Slot, SlotRange, Topology } from "./topology.ts";

export interface OwnershipLeaseParts {
  /** The newest map. */
  readonly topology: () => Topology | undefined;
  /** When our own Redis was asked for what it last told us; undefined: never. Unit: ms, on the monotonic clock. */
  readonly knownAtMs: () => number | undefined;
  /** How long a confirmation counts; 0: no lease is needed. Unit: ms. */
  readonly leaseMs: number;
  /** The monotonic clock. Unit: ms. */
  readonly now: () => number;
}

/** Below, no majority outlives the loss of one. */
const LEAST_MASTERS = 3;

/** What a peer said last. */
interface Heard {
  /** On our clock, no later than when its Redis was asked. Unit: ms. */
  readonly knownAtMs: number;
  readonly newerOwners: readonly NewerOwner[];
}

interface State {
  readonly map: Topology;
  /** Whose confirmations count. */
  readonly voters: readonly NodeId[];
  readonly isNeeded: boolean;
  heldUntilMs: number;
}

/**
 * Says whether this shard's slots are still its own by what a majority of the masters knew within the last `leaseMs`. A Redis that is cut off from
 * its cluster, or that hung, thinks that it owns what another was given meanwhile, and serves it; its coordinator is told by the others, or hears
 * nothing and stops answering.
 *
 * Why nothing older is answered: once a majority of the masters knows a new owner, any majority whose confirmations are younger has one among them that
 * knew, and that one named the owner. A peer's age is counted from before its Redis was asked, and from when our ping left.
 */
export class OwnershipLease {
  readonly #parts: OwnershipLeaseParts;
  readonly #heard = new Map<NodeId, Heard>();
  #state: State | undefined;

  constructor(parts: OwnershipLeaseParts) {
    this.#parts = parts;
  }

  /** A peer answered the claim that left at that time of our clock. */
  confirmed(nodeId: NodeId, askedAtMs: number, { ageMs, newerOwners }: Confirmation): void {
    const knownAtMs = Math.max(askedAtMs - ageMs, this.#heard.get(nodeId)?.knownAtMs ?? Number.NEGATIVE_INFINITY);
    this.#heard.set(nodeId, { knownAtMs, newerOwners });
  }

  /**
   * Why this shard may not answer for the slot now, or without one, for the shard as a whole: UNAVAILABLE where no majority confirmed it, MOVED where
   * a peer knows a newer owner of the slot. Undefined where it may.
   */
  objection(slot?: Slot): Fault | undefined {
    const state = this.#current();
    if (!state?.isNeeded) return undefined;
    if (!this.#isHeld(state)) {
      return new Fault(
        "UNAVAILABLE",
        `this coordinator has no ownership lease: for ${this.#parts.leaseMs} ms no majority of the masters' coordinators has confirmed what its shard owns`,
      );
    }
    return slot === undefined ? this.#takeover(state) : this.#move(state, slot);
  }

  /** What follows from the newest map, found once for each. */
  #current(): State | undefined {
    const map = this.#parts.topology();
    if (!map || map === this.#state?.map) return this.#state;
    // Those that vote on failovers in Redis Cluster, and ours.
    const voters = map.shards.filter((shard) => shard.slots.length > 0 || shard === map.ownShard).map(({ id }) => id);
    for (const nodeId of this.#heard.keys()) if (!voters.includes(nodeId)) this.#heard.delete(nodeId);
    const masters = map.shards.filter(({ slots }) => slots.length > 0).length;
    const isNeeded = this.#parts.leaseMs > 0 && masters >= LEAST_MASTERS;
    this.#state = { map, voters, isNeeded, heldUntilMs: Number.NEGATIVE_INFINITY };
    return this.#state;
  }

  #isHeld(state: State): boolean {
    const now = this.#parts.now();
    // Confirmations only add to it.
    if (now >= state.heldUntilMs) state.heldUntilMs = this.#confirmedAtMs(state) + this.#parts.leaseMs;
    return now < state.heldUntilMs;
  }

  /** The time of which a majority of the voters has spoken, each of it or of a later one. */
  #confirmedAtMs({ map, voters }: State): number {
    const knownAtMs = (id: NodeId) => (id === map.self ? this.#parts.knownAtMs() : this.#heard.get(id)?.knownAtMs);
    const newestFirst = voters.map((id) => knownAtMs(id) ?? Number.NEGATIVE_INFINITY).sort((a, b) => b - a);
    return newestFirst[Math.floor(voters.length / 2)] ?? Number.NEGATIVE_INFINITY;
  }

  #move(state: State, slot: Slot): Fault | undefined {
    const owner = this.#newerOwner(state, { start: slot, end: slot });
    return owner && new Fault("MOVED", `MOVED ${slot} ${owner.address}`);
  }

  /** A failover takes all of a master's slots at once. */
  #takeover(state: State): Fault | undefined {
    const owners = (state.map.ownShard?.slots ?? []).map((range) => this.#newerOwner(state, range));
    const [owner] = owners;
    if (!owner || owners.includes(undefined)) return undefined;
    return new Fault(
      "UNAVAILABLE",
      `the Redis at ${owner.address} has taken over this shard, and the one here has not heard of it yet`,
    );
  }

  /** Who has all of these slots by a higher epoch than ours. */
  #newerOwner({ map }: State, { start, end }: SlotRange): NewerOwner | undefined {
    for (const { newerOwners } of this.#heard.values()) {
      for (const owner of newerOwners) {
        if (owner.epoch <= (map.ownShard?.epoch ?? 0)) continue;
        if (owner.slots.some((range) => range.start <= start && end <= range.end)) return owner;
      }
    }
    return undefined;
  }
}
