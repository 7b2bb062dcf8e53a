import type { LeaseDoubts } from "./lease-doubts.ts";
import type { Leases } from "./leases.ts";
import { checkedValue, checkKey } from "./storage-rules.ts";
import type { StorageStore, StoredState, Written } from "./storage-store.ts";

export interface StorageParts {
  readonly store: StorageStore;
  readonly leases: Pick<Leases, "attach" | "detach">;
  readonly doubts: LeaseDoubts;
  /** A key may have been written. */
  readonly changed: (key: string) => void;
  /** Largest value. Unit: bytes. */
  readonly maxValueBytes: number;
}

export interface StoragePut {
  readonly key: string;
  /** An encoded payload. */
  readonly value: Uint8Array | undefined;
  /** Empty: none. */
  readonly leaseId: string;
  /** See StorageStore. */
  readonly expectedRevision?: number;
}

/** Values by key, for clients. What is refused here has changed nothing. */
export class Storage {
  readonly #parts: StorageParts;

  constructor(parts: StorageParts) {
    this.#parts = parts;
  }

  /** Rejects with INVALID_ARGUMENT or UNAVAILABLE. */
  async get(key: string): Promise<StoredState> {
    checkKey(key);
    const state = await this.#parts.store.get(key);
    if (state.leaseId !== undefined) this.#parts.doubts.read(key, state.leaseId);
    return state;
  }

  /** Rejects with INVALID_ARGUMENT, UNKNOWN_LEASE, RESOURCE_EXHAUSTED, UNAVAILABLE or INDETERMINATE. */
  async put({ key, value, leaseId, expectedRevision }: StoragePut): Promise<Written> {
    const { store, leases, doubts, maxValueBytes } = this.#parts;
    checkKey(key);
    const checked = checkedValue(value, maxValueBytes);
    // The lease knows of the key before there is one, so that none is left behind.
    const lease = leaseId === "" ? undefined : await leases.attach(leaseId, key);
    const written = await this.#write(key, store.put(key, checked, { lease, expectedRevision }));
    if (written.isWritten && leaseId !== "") doubts.written(key, leaseId);
    return written;
  }

  /** Rejects with INVALID_ARGUMENT, UNAVAILABLE or INDETERMINATE. */
  async delete(key: string, expectedRevision?: number): Promise<Written> {
    checkKey(key);
    return this.#write(key, this.#parts.store.delete(key, expectedRevision));
  }

  /** Also what failed may have been written. */
  async #write(key: string, writing: Promise<Written>): Promise<Written> {
    const { leases, changed } = this.#parts;
    try {
      const written = await writing;
      if (written.formerLease) leases.detach(written.formerLease, key);
      return written;
    } finally {
      changed(key);
    }
  }
}
