import { encoded, flag, list, message, nested, text, texts, uint } from "../base/message.ts";
import type { Durability } from "./durability.ts";

/** `gearmesh.v1.StoredEntry`. */
export const storedEntry = message({ key: text(1), revision: uint(2), value: encoded(3), leaseId: text(4) });

/** `gearmesh.v1.StorageServiceGetRequest`. */
export const getRequest = message({ key: text(1) });

/** `gearmesh.v1.StorageServiceGetResponse`. */
export const getResponse = message({ entry: nested(1, storedEntry) });

/** `gearmesh.v1.StorageServicePutRequest`. */
export const putRequest = message({ key: text(1), value: encoded(2), leaseId: text(3) });

/** `gearmesh.v1.StorageServicePutResponse`. */
export const putResponse = message({ revision: uint(1), durability: uint(2) });

/** `gearmesh.v1.CompareAndSetRequest`. */
export const compareAndSetRequest = message({
  key: text(1),
  expectedRevision: uint(2),
  value: encoded(3),
  leaseId: text(4),
});

/** `gearmesh.v1.StorageServiceDeleteRequest`. */
export const deleteRequest = message({ key: text(1), expectedRevision: uint(2) });

/** `gearmesh.v1.CompareAndSetResponse`, and StorageServiceDeleteResponse. */
export const writtenResponse = message({ isWritten: flag(1), revision: uint(2), durability: uint(3) });

/** `gearmesh.v1.StorageServiceListRequest`. */
export const listRequest = message({ prefix: text(1), limit: uint(2), keysOnly: flag(3) });

/** `gearmesh.v1.StorageServiceListResponse`. */
export const listResponse = message({ entries: list(1, storedEntry) });

/** `gearmesh.v1.GrantLeaseRequest`. */
export const grantLeaseRequest = message({ ttlMs: uint(1) });

/** `gearmesh.v1.GrantLeaseResponse`. */
export const grantLeaseResponse = message({ leaseId: text(1), durability: uint(2) });

/** Requests that name a lease and nothing else: RenewLeaseRequest, RevokeLeaseRequest and GetLeaseRequest. */
export const leaseRequest = message({ leaseId: text(1) });

/** `gearmesh.v1.RenewLeaseResponse`. */
export const renewLeaseResponse = message({ ttlMs: uint(1), durability: uint(2) });

/** `gearmesh.v1.RevokeLeaseResponse`. */
export const revokeLeaseResponse = message({ deleted: uint(1), pending: uint(2) });

/** `gearmesh.v1.GetLeaseResponse`. */
export const getLeaseResponse = message({ ttlMs: uint(1), remainingMs: uint(2), keys: texts(3) });

const NUMBER_OF = { master: 1, replica: 2 } as const satisfies Record<Durability, number>;

/** The number that `gearmesh.v1.Durability` has for it. */
export function durabilityNumber(durability: Durability | undefined): number {
  return durability === undefined ? 0 : NUMBER_OF[durability];
}

/** What that number means; of one that only a newer release knows, what is sure. */
export function durabilityOf(number: number): Durability | undefined {
  if (number === 0) return undefined;
  return number === NUMBER_OF.replica ? "replica" : "master";
}
