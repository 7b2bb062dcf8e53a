import { Buffer } from "node:buffer";
import test from "ava";
import fc from "fast-check";
import { encodePayload } from "../../../src/base/payload.ts";
import {
  compareAndSetRequest,
  deleteRequest,
  durabilityNumber,
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
  writtenResponse,
} from "../../../src/storage/storage-codec.ts";
import {
  deletedEntry,
  missedChanges,
  nudgeStorageRequest,
  shareWatchesRequest,
  watchRequest,
  watchResponse,
} from "../../../src/storage/watch-codec.ts";
import { agreesWith, foreignProto } from "../../support/agrees.ts";

const proto = foreignProto("storage", "peer");
const agrees = agreesWith(proto);

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const uint = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat());
const value = fc.option(
  fc.oneof(text, fc.uint8Array({ maxLength: 20 })).map((each) => encodePayload(each)),
  { nil: undefined },
);
const durability = fc.nat({ max: 2 });
const entry = fc.record({ key: text, revision: uint, value, leaseId: text });

agrees("StorageServiceGetRequest", getRequest, fc.record({ key: text }));
agrees("StorageServiceGetResponse", getResponse, fc.record({ entry: fc.option(entry, { nil: undefined }) }));
agrees("StorageServicePutRequest", putRequest, fc.record({ key: text, value, leaseId: text }));
agrees("StorageServicePutResponse", putResponse, fc.record({ revision: uint, durability }));
agrees(
  "CompareAndSetRequest",
  compareAndSetRequest,
  fc.record({ key: text, expectedRevision: uint, value, leaseId: text }),
);
agrees("StorageServiceDeleteRequest", deleteRequest, fc.record({ key: text, expectedRevision: uint }));
for (const type of ["CompareAndSetResponse", "StorageServiceDeleteResponse"]) {
  agrees(type, writtenResponse, fc.record({ isWritten: fc.boolean(), revision: uint, durability }));
}
agrees("StorageServiceListRequest", listRequest, fc.record({ prefix: text, limit: fc.nat(), keysOnly: fc.boolean() }));
agrees("StorageServiceListResponse", listResponse, fc.record({ entries: fc.array(entry) }));
agrees("GrantLeaseRequest", grantLeaseRequest, fc.record({ ttlMs: uint }));
agrees("GrantLeaseResponse", grantLeaseResponse, fc.record({ leaseId: text, durability }));
for (const type of ["RenewLeaseRequest", "RevokeLeaseRequest", "GetLeaseRequest"]) {
  agrees(type, leaseRequest, fc.record({ leaseId: text }));
}
agrees("RenewLeaseResponse", renewLeaseResponse, fc.record({ ttlMs: uint, durability }));
agrees("RevokeLeaseResponse", revokeLeaseResponse, fc.record({ deleted: fc.nat(), pending: fc.nat() }));
agrees("GetLeaseResponse", getLeaseResponse, fc.record({ ttlMs: uint, remainingMs: uint, keys: fc.array(text) }));
const optional = fc.option(text, { nil: undefined });
agrees(
  "StorageServiceWatchRequest",
  watchRequest,
  fc.oneof(
    optional.map((key) => ({ key, prefix: undefined })),
    text.map((prefix) => ({ key: undefined, prefix })),
  ),
);
agrees("DeletedEntry", deletedEntry, fc.record({ key: text, revision: uint }));
agrees("MissedChanges", missedChanges, fc.record({ count: fc.nat() }));
const NO_EVENT = { put: undefined, deleted: undefined, synced: undefined, missed: undefined };
agrees(
  "StorageServiceWatchResponse",
  watchResponse,
  fc.oneof(
    entry.map((put) => ({ ...NO_EVENT, put })),
    fc.record({ key: text, revision: uint }).map((deleted) => ({ ...NO_EVENT, deleted })),
    fc.constant({ ...NO_EVENT, synced: Buffer.alloc(0) }),
    fc.nat().map((count) => ({ ...NO_EVENT, missed: { count } })),
  ),
);
agrees(
  "ShareStorageWatchesRequest",
  shareWatchesRequest,
  fc.record({ nodeId: text, keys: fc.array(text), prefixes: fc.array(text) }),
);
agrees("NudgeStorageRequest", nudgeStorageRequest, fc.record({ keys: fc.array(text), isIncomplete: fc.boolean() }));

test("a durability is what the .proto calls it", (t) => {
  const { values } = proto.lookupEnum("gearmesh.v1.Durability");
  t.deepEqual({ ...values }, {
    DURABILITY_UNSPECIFIED: durabilityNumber(undefined),
    DURABILITY_MASTER: durabilityNumber("master"),
    DURABILITY_REPLICA: durabilityNumber("replica"),
  } as Record<string, number>);
  for (const each of [undefined, "master", "replica"] as const) t.is(durabilityOf(durabilityNumber(each)), each);
  // From a newer release.
  t.is(durabilityOf(7), "master");
});
