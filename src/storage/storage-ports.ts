import type { CallContext } from "../base/call-context.ts";

/** What coordinators tell each other of the storage. */
export type StorageNewsKind = "shareWatches" | "nudge";

export interface StoragePeer {
  /** Resolves with the encoded answer; rejects with a Fault. */
  request(what: StorageNewsKind, body: Uint8Array, context: CallContext): Promise<Uint8Array>;
}

/** The other coordinators. */
export interface StoragePeers {
  /** The one beside this Redis node; undefined while there is no link to it. */
  peer(nodeId: string): StoragePeer | undefined;
  /** Those that there is a link to, with their node ids. */
  linked(): Iterable<readonly [string, StoragePeer]>;
}
