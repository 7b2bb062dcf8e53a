import type { ConnectionDetails } from "./session-codec.ts";

/** Where a connection is. */
export interface Holder {
  /** Of the Redis node that the coordinator stands beside. */
  readonly nodeId: string;
  /** Of the coordinator's process. */
  readonly runId: string;
}

/** What the directory keeps of a connection. */
export interface ConnectionRecord {
  readonly holder: Holder;
  /** Of the resume token that is valid now. SHA-256 in hex. */
  readonly tokenHash: string;
  /** As they were when the record was written last. */
  readonly details: ConnectionDetails;
}

/** What whoever has a connection's token puts in the place of its record. */
export interface ConnectionClaim {
  readonly connectionId: string;
  readonly holder: Holder;
  /** Of the token that is valid from then on. SHA-256 in hex. */
  readonly tokenHash: string;
  /** Undefined: they stay as they are when the claim is made, which may be later than they were read. */
  readonly details: ConnectionDetails | undefined;
}

/**
 * Who holds which connection, for all nodes. A record belongs to its holder while that renews the lease; then only a resume token can still bring the connection back, until the
 * grace time is over as well. Every method rejects with UNAVAILABLE, or INDETERMINATE where it may have happened.
 */
export interface ConnectionDirectory {
  /** Writes the record and begins its lease; false where somebody else holds the connection by now. A record that is there keeps its token: that changes by a claim alone. */
  put(record: ConnectionRecord): Promise<boolean>;
  /** `missing`: it was lost, so put it again; `taken`: somebody else holds the connection. */
  renew(connectionId: string, holder: Holder): Promise<"renewed" | "missing" | "taken">;
  /** Undefined where no record is kept. */
  find(connectionId: string): Promise<{ readonly record: ConnectionRecord; readonly isLeased: boolean } | undefined>;
  /** Takes the place of the record that has this token hash. Resolves with the details that it has then; undefined where there is none any more. A token works once because of it. */
  claim(tokenHash: string, claim: ConnectionClaim): Promise<ConnectionDetails | undefined>;
  /** Removes the record, if it is still this holder's and has this token. */
  remove(connectionId: string, runId: string, tokenHash: string): Promise<void>;
}
