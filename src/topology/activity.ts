import type { Topology } from "./topology.ts";

/**
 * Says that no other coordinator acts for this Redis. It is bound to the control connection and kept by the Redis it is for, so it needs no
 * key, works on masters without slots and on servers that refuse writes, and ends with its holder.
 */
export interface ActivityLease {
  isHeld(): boolean;
  /** Calls back after each change until the returned function is called. */
  subscribe(listener: () => void): () => void;
}

/** A coordinator's connection to a Redis, as that Redis lists it. */
export interface CoordinatorConnection {
  /** The server never gives an id twice. */
  readonly id: string;
  readonly runId: string;
  /** `active` holds the lease. */
  readonly purpose: "active" | "standby" | "sandbox";
  /** At least this long it has sent nothing. Unit: ms. */
  readonly idleMs: number;
}

export type LeaseStep =
  /** Nobody else holds the lease. */
  | { readonly kind: "take" }
  | { readonly kind: "stand-by"; readonly holder: string }
  /** Its holder hangs: these connections must end first, or it could go on writing once it wakes. */
  | { readonly kind: "fence"; readonly connections: readonly string[] };

/** What to do about the lease, by the list of all coordinators' connections, of which `own` is our control connection. */
export function nextStep(
  connections: readonly CoordinatorConnection[],
  own: { readonly id: string; readonly runId: string },
  leaseMs: number,
): LeaseStep {
  const holder = connections.find(({ id, purpose }) => purpose === "active" && id !== own.id);
  if (!holder) return { kind: "take" };
  // Our own connection before this one, whose end Redis has not noticed.
  if (holder.runId === own.runId) return { kind: "fence", connections: [holder.id] };
  if (isAlive(holder, leaseMs)) return { kind: "stand-by", holder: holder.id };
  return { kind: "fence", connections: connections.filter(({ runId }) => runId === holder.runId).map(({ id }) => id) };
}

/**
 * A holder sends something three times per lease, and counts itself out once a lease has passed since it last sent what was
 * answered. So one that was silent for as long has stopped before it is fenced.
 */
export function isAlive({ purpose, idleMs }: CoordinatorConnection, leaseMs: number): boolean {
  return purpose === "active" && idleMs < leaseMs;
}

/** Whether this coordinator answers for its shard: it holds the lease, and its Redis is a master. */
export function isActive(lease: ActivityLease, topology: Topology | undefined): boolean {
  return topology !== undefined && topology.self === topology.selfShard && lease.isHeld();
}

/** Whether our Redis is a master that owns slots. */
export function ownsSlots({ self, shards }: Topology): boolean {
  return shards.some(({ id, slots }) => id === self && slots.length > 0);
}
