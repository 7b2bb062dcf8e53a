/**
 * Where gearmesh keeps what must outlive its processes. One record is a value under a collection and an id, with a revision
 * that grows by each write. A write answers once a replica has it too, where there is one.
 */
export interface RecordStore {
  get(collection: string, id: string): Promise<StoredRecord | undefined>;
  list(collection: string): Promise<ReadonlyMap<string, StoredRecord>>;
  /**
   * Writes `next` if the record's revision is still `expectedRevision` (0: it must not exist yet); false if it is not.
   * Rejects with UNAVAILABLE when nothing was written, INDETERMINATE when that is unknown.
   */
  compareAndSet(collection: string, id: string, expectedRevision: number, next: StoredRecord): Promise<boolean>;
}

export interface StoredRecord {
  readonly revision: number;
  readonly value: Uint8Array;
}

/** Sequential node names (`gearmesh-1`, ...), held by lease. A name is for people: never use it for safety. */
export interface NameRegistry {
  /**
   * Claims or renews. A new incarnation gets the number it wants if that is free; else the same identity gets its own back at once, and a new one the lowest
   * free number.
   * `superseded`: a newer incarnation of the same identity holds the name.
   */
  claim(claim: NameClaim): Promise<{ readonly number: number } | { readonly superseded: true }>;
  release(claim: NameClaim): Promise<void>;
}

export interface NameClaim {
  /** What stays the same over restarts: the Redis node id, a supervisor's slot, or a Kubernetes ordinal. */
  readonly identity: string;
  /** What does not: this process's run id. */
  readonly incarnation: string;
  /** When this incarnation started. Unit: ms since the Unix epoch. The newer one wins. */
  readonly startedAtMs: number;
  /** The number it would like to have; 0: any. */
  readonly wanted: number;
  /** How long the claim holds without renewal. Unit: ms. */
  readonly leaseMs: number;
}
