import type { Durability } from "./durability.ts";
import type { Attachment } from "./lease-store.ts";

/** What there is at a key at one moment. */
export interface StoredState {
  /** Grows with each write of the key, also where it was deleted in between. Of a key that is not there: of its deletion while that is remembered, or 0. */
  readonly revision: number;
  /** An encoded `gearmesh.v1.Payload`; undefined: there is no such key. */
  readonly value: Uint8Array | undefined;
  /** The lease that it goes with; undefined: none. */
  readonly leaseId: string | undefined;
}

/** A key that is there. */
export interface ListedEntry extends StoredState {
  readonly key: string;
}

/** What came of a write. */
export interface Written {
  /** False: the key had another revision than the expected one. */
  readonly isWritten: boolean;
  /** The key's, now. 0: there is no such key. */
  readonly revision: number;
  /** Undefined: nothing was written. */
  readonly durability: Durability | undefined;
  /** What the key had to do with a lease before it was written. */
  readonly formerLease: Attachment | undefined;
}

export interface PutOptions {
  /** What the key has to do with a lease from now on. Default: nothing. */
  readonly lease?: Attachment | undefined;
  /** 0: the key must not exist. Default: whatever is there. */
  readonly expectedRevision?: number | undefined;
}

/**
 * Values by key, for all nodes. Every method rejects with UNAVAILABLE where nothing was done; those that write also with RESOURCE_EXHAUSTED where Redis has no memory for it, and with INDETERMINATE, where it may have
 * been written, or was and no replica confirmed it.
 */
export interface StorageStore {
  get(key: string): Promise<StoredState>;
  /** The revision alone, of what may be long; undefined: there is no such key. */
  head(key: string): Promise<number | undefined>;
  put(key: string, value: Uint8Array, options?: PutOptions): Promise<Written>;
  /** `isWritten` is false also where there is no such key. */
  delete(key: string, expectedRevision?: number): Promise<Written>;
  /** Deletes a key if it goes with the lease. */
  deleteLeased(key: string, leaseId: string): Promise<Written>;
  /** The keys that begin with `prefix`, from all shards, in no order; some may come twice. What is there from beginning to end comes, unless its slot moves twice meanwhile. */
  keys(prefix: string): AsyncGenerator<readonly string[], void, undefined>;
}
