import { Buffer } from "node:buffer";
import { Fault } from "../base/fault.ts";
import { type JsonValue, payloadOf, payloadValue } from "../base/json-payload.ts";
import type { MessageOf } from "../base/message.ts";
import type { Definitions } from "../grpc/definitions.ts";
import { METHOD, type Method } from "../mesh/method.ts";
import type { Durability } from "../storage/durability.ts";
import { checkTtl } from "../storage/lease-rules.ts";
import {
  compareAndSetRequest,
  deleteRequest,
  durabilityOf,
  getLeaseResponse,
  getRequest,
  getResponse,
  grantLeaseRequest,
  grantLeaseResponse,
  leaseRequest,
  listRequest,
  listResponse,
  putRequest,
  putResponse,
  renewLeaseResponse,
  revokeLeaseResponse,
  type storedEntry,
  writtenResponse,
} from "../storage/storage-codec.ts";
import type { StorageMethod } from "../storage/storage-requests.ts";
import { watchRequest, watchResponse } from "../storage/watch-codec.ts";
import type { Coordinators } from "./coordinators.ts";
import { passedThrough, type RpcOptions } from "./rpc-channel.ts";

/** A key and what is stored there. */
export interface StoredEntry {
  readonly key: string;
  /** Greater than that of every earlier write of the key. Only use it to compare. */
  readonly revision: number;
  /** A Buffer where bytes were stored; else what the JSON says. */
  readonly value: JsonValue | Buffer;
  /** The lease that it goes with; undefined: none. */
  readonly leaseId: string | undefined;
}

/** A write that was made. */
export interface StoredWrite {
  /** The key's, now. */
  readonly revision: number;
  /** `replica`: the master and a replica have it; `master`: there is no replica, or it is not waited for. */
  readonly durability: Durability;
}

/** What came of a write with a condition. */
export type ConditionalWrite =
  | ({ readonly written: true } & StoredWrite)
  /** `revision`: the key's, now; 0: there is no such key. */
  | { readonly written: false; readonly revision: number };

export interface PutOptions extends RpcOptions {
  /** A lease to go with. Default: none; the key stays until it is deleted. */
  readonly leaseId?: string;
}

/** A lease that was granted. */
export interface GrantedLease {
  readonly leaseId: string;
  readonly durability: Durability;
}

/** A lease that is not over. */
export interface LeaseDescription {
  /** How long it lasts without being renewed. Unit: ms. */
  readonly ttlMs: number;
  /** Until it is over. Unit: ms. */
  readonly remainingMs: number;
  /** Keys that were written with it; some may have been deleted, or written otherwise, since. */
  readonly keys: readonly string[];
}

export interface DeleteOptions extends RpcOptions {
  /** Delete only what has this revision. Default: whatever is there. */
  readonly expectedRevision?: number;
}

export interface ListOptions extends RpcOptions {
  /** How the keys begin. Default: all. */
  readonly prefix?: string;
  /** End after this many. Default: all, or RESOURCE_EXHAUSTED where there are too many. */
  readonly limit?: number;
}

/** What a watch tells. */
export type StorageEvent =
  /** The key is so now. */
  | ({ readonly kind: "put" } & StoredEntry)
  /** `revision`: of the deletion; 0 where that is not remembered any more. */
  | { readonly kind: "deleted"; readonly key: string; readonly revision: number }
  /** What has come since the beginning, or since `missed`, is the whole state; changes follow. */
  | { readonly kind: "synced" }
  /** So many changes were dropped, since they were read too slowly; 0: the coordinator was lost or has stopped, and the watch goes on at another one. What comes up to the next `synced` is the whole state again: a key that is not in it is gone. */
  | { readonly kind: "missed"; readonly count: number };

/** What to watch: a key, or all that begin so. */
export type WatchTarget = { readonly key: string } | { readonly prefix: string };

/** Sends an encoded request and resolves with the encoded response. */
export type AskStorage = (method: StorageMethod, body: Uint8Array, options: RpcOptions) => Promise<Uint8Array>;

/** The storage as far as it is asked and answers. Every method rejects with a Fault. */
export class StorageRequests {
  readonly #ask: AskStorage;

  constructor(ask: AskStorage) {
    this.#ask = ask;
  }

  /** Undefined: there is no such key. */
  async get(key: string, options: RpcOptions = {}): Promise<StoredEntry | undefined> {
    const { entry } = getResponse.decode(await this.#ask("Get", getRequest.encode({ key }), options));
    return entry && entryOf(entry);
  }

  /** Writes bytes as they are, anything else as JSON, whatever was there. */
  async put(key: string, value: JsonValue | Uint8Array, options: PutOptions = {}): Promise<StoredWrite> {
    const { leaseId = "", ...rpc } = options;
    const body = putRequest.encode({ key, value: payloadOf(value), leaseId });
    const { revision, durability } = putResponse.decode(await this.#ask("Put", body, rpc));
    return { revision, durability: durabilityOf(durability) ?? "master" };
  }

  /** Writes if the key's revision is still the expected one; 0: if there is no such key. */
  async compareAndSet(
    key: string,
    expectedRevision: number,
    value: JsonValue | Uint8Array,
    options: PutOptions = {},
  ): Promise<ConditionalWrite> {
    const { leaseId = "", ...rpc } = options;
    const body = compareAndSetRequest.encode({
      key,
      expectedRevision: checkedRevision(expectedRevision),
      value: payloadOf(value),
      leaseId,
    });
    return conditionalWriteOf(await this.#ask("CompareAndSet", body, rpc));
  }

  /** `written` says whether there was something to delete. */
  async delete(key: string, options: DeleteOptions = {}): Promise<ConditionalWrite> {
    const { expectedRevision = 0, ...rpc } = options;
    const body = deleteRequest.encode({ key, expectedRevision: checkedRevision(expectedRevision) });
    return conditionalWriteOf(await this.#ask("Delete", body, rpc));
  }

  /** Keys that are written with the lease are deleted once it was not renewed for `ttlMs`: a second to 30 days. */
  async grantLease(ttlMs: number, options: RpcOptions = {}): Promise<GrantedLease> {
    checkTtl(ttlMs);
    const response = await this.#ask("GrantLease", grantLeaseRequest.encode({ ttlMs }), options);
    const { leaseId, durability } = grantLeaseResponse.decode(response);
    return { leaseId, durability: durabilityOf(durability) ?? "master" };
  }

  /** It lasts for all its time again. Rejects with UNKNOWN_LEASE where it is over. */
  async renewLease(leaseId: string, options: RpcOptions = {}): Promise<{ ttlMs: number; durability: Durability }> {
    const response = await this.#ask("RenewLease", leaseRequest.encode({ leaseId }), options);
    const { ttlMs, durability } = renewLeaseResponse.decode(response);
    return { ttlMs, durability: durabilityOf(durability) ?? "master" };
  }

  /** Ends a lease and deletes its keys. `pending`: keys of shards that could not be reached, which are deleted once those can. */
  async revokeLease(leaseId: string, options: RpcOptions = {}): Promise<{ deleted: number; pending: number }> {
    return revokeLeaseResponse.decode(await this.#ask("RevokeLease", leaseRequest.encode({ leaseId }), options));
  }

  /** Rejects with UNKNOWN_LEASE where it is over. */
  async lease(leaseId: string, options: RpcOptions = {}): Promise<LeaseDescription> {
    return getLeaseResponse.decode(await this.#ask("GetLease", leaseRequest.encode({ leaseId }), options));
  }
}

export interface StorageParts {
  readonly coordinators: Coordinators;
  readonly definitions: Definitions;
  /** For calls that name no other. Unit: ms. */
  readonly timeoutMs: number;
}

/** The storage of the cluster. Every method rejects with a Fault. */
export class Storage extends StorageRequests {
  readonly #parts: StorageParts;

  constructor(parts: StorageParts) {
    const { coordinators, definitions, timeoutMs } = parts;
    super((method, body, options) => {
      const { path } = definitions.storage[method];
      return coordinators.unary(passedThrough(path), Buffer.from(body), { timeoutMs, ...options });
    });
    this.#parts = parts;
  }

  /** What is stored under keys that begin so, over all shards, in no order. */
  async *list(options: ListOptions = {}): AsyncGenerator<StoredEntry, void, undefined> {
    for await (const entry of this.#listed(options, false)) yield entryOf(entry);
  }

  /** Keys that begin so, over all shards, in no order. */
  async *listKeys(options: ListOptions = {}): AsyncGenerator<string, void, undefined> {
    for await (const { key } of this.#listed(options, true)) yield key;
  }

  /** How the keys are now, and every change, until the loop over it ends or the signal aborts. */
  async *watch(
    target: WatchTarget,
    options: Pick<RpcOptions, "signal"> = {},
  ): AsyncGenerator<StorageEvent, void, undefined> {
    const { coordinators, definitions } = this.#parts;
    const body = Buffer.from(watchRequest.encode({ key: undefined, prefix: undefined, ...target }));
    const method = passedThrough(definitions.storage.Watch.path);
    let isAnew = false;
    const begunAnew = (): void => {
      isAnew = true;
    };
    for await (const response of coordinators.watch(method, body, options, begunAnew)) {
      if (isAnew) yield { kind: "missed", count: 0 };
      isAnew = false;
      const event = eventOf(response);
      if (event) yield event;
    }
  }

  async *#listed({ prefix = "", limit = 0, ...options }: ListOptions, keysOnly: boolean) {
    const { coordinators, definitions, timeoutMs } = this.#parts;
    if (!Number.isInteger(limit) || limit < 0)
      throw new Fault("INVALID_ARGUMENT", `limit is ${limit}, which is no count`);
    const body = Buffer.from(listRequest.encode({ prefix, limit, keysOnly }));
    const method = passedThrough(definitions.storage.List.path);
    for await (const response of coordinators.serverStream(method, body, { timeoutMs, ...options })) {
      yield* listResponse.decode(response).entries;
    }
  }
}

/** The same over a stream for many calls. */
export function storageOverStream(
  request: (method: Method, body: Uint8Array, options: RpcOptions) => Promise<Uint8Array>,
): StorageRequests {
  return new StorageRequests((method, body, options) => request(METHOD_OF[method], body, options));
}

const METHOD_OF: Record<StorageMethod, Method> = {
  Get: METHOD.STORAGE_GET,
  Put: METHOD.STORAGE_PUT,
  CompareAndSet: METHOD.COMPARE_AND_SET,
  Delete: METHOD.STORAGE_DELETE,
  GrantLease: METHOD.GRANT_LEASE,
  RenewLease: METHOD.RENEW_LEASE,
  RevokeLease: METHOD.REVOKE_LEASE,
  GetLease: METHOD.GET_LEASE,
};

function checkedRevision(revision: number): number {
  if (Number.isSafeInteger(revision) && revision >= 0) return revision;
  throw new Fault("INVALID_ARGUMENT", `expectedRevision is ${revision}, which is no revision`);
}

function entryOf({ key, revision, value, leaseId }: MessageOf<typeof storedEntry>): StoredEntry {
  const decoded = payloadValue(value ?? new Uint8Array());
  // A copy: a view would keep the whole message in memory.
  const copied = decoded instanceof Uint8Array ? Buffer.from(decoded) : decoded;
  return { key, revision, value: copied, leaseId: leaseId || undefined };
}

/** Undefined: something that only a newer release knows. */
function eventOf(response: Uint8Array): StorageEvent | undefined {
  const { put, deleted, synced, missed } = watchResponse.decode(response);
  if (put) return { kind: "put", ...entryOf(put) };
  if (deleted) return { kind: "deleted", ...deleted };
  if (missed) return { kind: "missed", ...missed };
  return synced && { kind: "synced" };
}

function conditionalWriteOf(response: Uint8Array): ConditionalWrite {
  const { isWritten, revision, durability } = writtenResponse.decode(response);
  if (!isWritten) return { written: false, revision };
  return { written: true, revision, durability: durabilityOf(durability) ?? "master" };
}
