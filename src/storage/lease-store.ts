import type { Durability } from "./durability.ts";

/** A lease that is not over. */
export interface LeaseState {
  /** How long it lasts without being renewed. Unit: ms. */
  readonly ttlMs: number;
  /** Until it is over. Unit: ms. */
  readonly remainingMs: number;
  /** Keys that were written with it; some may have been deleted, or written otherwise, since. */
  readonly keys: readonly string[];
}

/** A key's hold on a lease: another one each time that it is attached. */
export interface Attachment {
  readonly leaseId: string;
  readonly number: number;
}

/** Leases that may be over: they are the caller's to look at for some seconds. */
export interface DueLeases {
  readonly ids: readonly string[];
  /** Leases of the deployment, with those that are over and not forgotten. */
  readonly known: number;
}

/**
 * Leases, for all nodes. One that is over stays over. Every method rejects with UNAVAILABLE where nothing was done; those that write also with RESOURCE_EXHAUSTED where Redis has no memory for it, and with INDETERMINATE. `undefined`
 * says that there is no such lease, or none any more.
 */
export interface LeaseStore {
  /** A new lease. `full`: there are as many as there may be. */
  grant(id: string, ttlMs: number): Promise<{ readonly durability: Durability } | "full">;
  renew(id: string): Promise<{ readonly ttlMs: number; readonly durability: Durability } | undefined>;
  get(id: string): Promise<LeaseState | undefined>;
  isAlive(id: string): Promise<boolean>;
  /** Before a key is written with a lease. `full`: the lease has as many keys as it may have. */
  attach(id: string, key: string): Promise<Attachment | "full" | undefined>;
  /** The key is not the lease's any more, unless it was attached again. */
  detach(attachment: Attachment, key: string): Promise<void>;
  /** Ends a lease, or only one whose time is over. Resolves with its keys; with how long it lasts where that is not over. Until it is forgotten it can be ended again. */
  end(
    id: string,
    when: "now" | "if-over",
  ): Promise<{ readonly keys: readonly string[] } | { readonly remainingMs: number } | undefined>;
  /** Its keys are gone. */
  forget(id: string): Promise<void>;
  /** It is not over: it is to be looked at again once it may be. */
  postpone(id: string, remainingMs: number): Promise<void>;
  takeDue(): Promise<DueLeases>;
}
