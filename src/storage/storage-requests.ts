import type { CallContext } from "../base/call-context.ts";
import { decodeRequest } from "../base/decode-request.ts";
import type { MessageOf } from "../base/message.ts";
import type { Leases } from "./leases.ts";
import type { Storage } from "./storage.ts";
import {
  compareAndSetRequest,
  deleteRequest,
  durabilityNumber,
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
} from "./storage-codec.ts";
import type { StorageListing } from "./storage-listing.ts";
import type { ListedEntry, Written } from "./storage-store.ts";

/** Takes an encoded request and resolves with the encoded response. Rejects with a Fault. */
export type StorageHandler = (body: Uint8Array, context: CallContext) => Promise<Uint8Array>;

/** A unary method of StorageService. */
export type StorageMethod = keyof ReturnType<typeof storageRequests>;

/** Bytes of values from which on a response of a list is full. A single one may be larger. */
const RESPONSE_BYTES = 256 * 1024;
/** Entries of one response, without values. */
const RESPONSE_ENTRIES = 1024;

export function storageRequests(storage: Storage, leases: Leases) {
  return {
    Get: async (body) => {
      const { key } = decodeRequest(getRequest.decode, body);
      const state = await storage.get(key);
      return getResponse.encode({ entry: state.value && entryOf({ key, ...state }) });
    },
    Put: async (body) => {
      const { revision, durability } = await storage.put(decodeRequest(putRequest.decode, body));
      return putResponse.encode({ revision, durability: durabilityNumber(durability) });
    },
    CompareAndSet: async (body) => {
      return encodeWritten(await storage.put(decodeRequest(compareAndSetRequest.decode, body)));
    },
    Delete: async (body) => {
      const { key, expectedRevision } = decodeRequest(deleteRequest.decode, body);
      return encodeWritten(await storage.delete(key, expectedRevision === 0 ? undefined : expectedRevision));
    },
    GrantLease: async (body) => {
      const { leaseId, durability } = await leases.grant(decodeRequest(grantLeaseRequest.decode, body).ttlMs);
      return grantLeaseResponse.encode({ leaseId, durability: durabilityNumber(durability) });
    },
    RenewLease: async (body) => {
      const { ttlMs, durability } = await leases.renew(decodeRequest(leaseRequest.decode, body).leaseId);
      return renewLeaseResponse.encode({ ttlMs, durability: durabilityNumber(durability) });
    },
    RevokeLease: async (body) =>
      revokeLeaseResponse.encode(await leases.revoke(decodeRequest(leaseRequest.decode, body).leaseId)),
    GetLease: async (body) =>
      getLeaseResponse.encode(await leases.get(decodeRequest(leaseRequest.decode, body).leaseId)),
  } satisfies Record<string, StorageHandler>;
}

/** Takes an encoded StorageServiceListRequest, and comes to encoded StorageServiceListResponses. */
export async function* listResponses(
  listing: StorageListing,
  body: Uint8Array,
): AsyncGenerator<Uint8Array, void, undefined> {
  let entries: MessageOf<typeof storedEntry>[] = [];
  let bytes = 0;
  for await (const found of listing.list(decodeRequest(listRequest.decode, body))) {
    for (const entry of found) {
      entries.push(entryOf(entry));
      bytes += entry.value?.length ?? 0;
      if (bytes < RESPONSE_BYTES && entries.length < RESPONSE_ENTRIES) continue;
      yield listResponse.encode({ entries });
      [entries, bytes] = [[], 0];
    }
  }
  if (entries.length > 0) yield listResponse.encode({ entries });
}

function entryOf({ key, revision, value, leaseId = "" }: ListedEntry): MessageOf<typeof storedEntry> {
  return { key, revision, value, leaseId };
}

function encodeWritten({ isWritten, revision, durability }: Written): Uint8Array {
  return writtenResponse.encode({ isWritten, revision, durability: durabilityNumber(durability) });
}
