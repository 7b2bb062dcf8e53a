import { randomUUID } from "node:crypto";
import { Fault } from "../base/fault.ts";
import type { Durability } from "./durability.ts";
import { checkTtl, unknownLease } from "./lease-rules.ts";
import type { Attachment, LeaseState, LeaseStore } from "./lease-store.ts";
import type { StorageStore } from "./storage-store.ts";

/** What ids look like: nothing else is looked for. */
const ID = /^[0-9a-f-]{36}$/;

/** Keys that are deleted at once. */
const BATCH = 64;

export interface LeasesParts {
  readonly leases: LeaseStore;
  readonly store: Pick<StorageStore, "deleteLeased">;
  /** A key may have been written. */
  readonly changed: (key: string) => void;
  /** A lease was ended here, and its keys are gone. */
  readonly ended: (how: "expired" | "revoked") => void;
}

/** Leases, and the keys that go with them. */
export class Leases {
  readonly #parts: LeasesParts;

  constructor(parts: LeasesParts) {
    this.#parts = parts;
  }

  /** Rejects with INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE or INDETERMINATE. */
  async grant(ttlMs: number): Promise<{ readonly leaseId: string; readonly durability: Durability }> {
    checkTtl(ttlMs);
    const leaseId = randomUUID();
    const granted = await this.#parts.leases.grant(leaseId, ttlMs);
    if (granted === "full") throw new Fault("RESOURCE_EXHAUSTED", "there are as many leases as there may be");
    return { leaseId, durability: granted.durability };
  }

  /** Rejects with UNKNOWN_LEASE, UNAVAILABLE or INDETERMINATE. */
  renew(leaseId: string): Promise<{ readonly ttlMs: number; readonly durability: Durability }> {
    return this.#known(leaseId, () => this.#parts.leases.renew(leaseId));
  }

  /** Rejects with UNKNOWN_LEASE or UNAVAILABLE. */
  get(leaseId: string): Promise<LeaseState> {
    return this.#known(leaseId, () => this.#parts.leases.get(leaseId));
  }

  /** Ends the lease and deletes its keys. Resolves with how many were, and how many could not be yet. Rejects with UNKNOWN_LEASE, UNAVAILABLE or INDETERMINATE. */
  async revoke(leaseId: string): Promise<{ readonly deleted: number; readonly pending: number }> {
    const ended = await this.#known(leaseId, () => this.#parts.leases.end(leaseId, "now"));
    return this.#deleteKeys(leaseId, "keys" in ended ? ended.keys : [], "revoked");
  }

  /** Before a key is written with a lease. Rejects with UNKNOWN_LEASE, RESOURCE_EXHAUSTED or UNAVAILABLE: the key was not written yet. */
  async attach(leaseId: string, key: string): Promise<Attachment> {
    const attached = await this.#known(leaseId, () => this.#parts.leases.attach(leaseId, key)).catch(notWritten);
    if (attached === "full") throw new Fault("RESOURCE_EXHAUSTED", "the lease has as many keys as it may have");
    return attached;
  }

  /** The key was written otherwise since. What is not noted is found when the lease ends. */
  detach(attachment: Attachment, key: string): void {
    this.#parts.leases.detach(attachment, key).catch(() => undefined);
  }

  /** Ends a lease whose time is over, and deletes its keys; does nothing of that with one that is not over. Rejects with UNAVAILABLE or INDETERMINATE. */
  async expire(leaseId: string): Promise<void> {
    const { leases } = this.#parts;
    const ended = await leases.end(leaseId, "if-over");
    if (!ended) await leases.forget(leaseId);
    else if ("keys" in ended) await this.#deleteKeys(leaseId, ended.keys, "expired");
    else await leases.postpone(leaseId, ended.remainingMs);
  }

  /** Deletes a key that goes with a lease which is over. Rejects with UNAVAILABLE or INDETERMINATE. */
  async deleteKey(leaseId: string, key: string): Promise<boolean> {
    try {
      return (await this.#parts.store.deleteLeased(key, leaseId)).isWritten;
    } finally {
      this.#parts.changed(key);
    }
  }

  /** The lease is forgotten once all of them are gone. */
  async #deleteKeys(
    leaseId: string,
    keys: readonly string[],
    how: "expired" | "revoked",
  ): Promise<{ readonly deleted: number; readonly pending: number }> {
    let deleted = 0;
    let pending = 0;
    for (let start = 0; start < keys.length; start += BATCH) {
      const batch = keys.slice(start, start + BATCH).map((key) => this.deleteKey(leaseId, key));
      for (const outcome of await Promise.allSettled(batch)) {
        if (outcome.status === "rejected") pending++;
        else deleted += Number(outcome.value);
      }
    }
    if (pending === 0) {
      this.#parts.ended(how);
      // Where that fails, it is found again, without keys.
      await this.#parts.leases.forget(leaseId).catch(() => undefined);
    }
    return { deleted, pending };
  }

  async #known<T>(leaseId: string, ask: () => Promise<T | undefined>): Promise<T> {
    const answer = ID.test(leaseId) ? await ask() : undefined;
    if (answer === undefined) throw unknownLease();
    return answer;
  }
}

function notWritten(thrown: unknown): never {
  const fault = Fault.from(thrown);
  if (fault.code !== "INDETERMINATE") throw fault;
  throw new Fault("UNAVAILABLE", `the key was not written: of its lease ${fault.message}`, { cause: fault });
}
