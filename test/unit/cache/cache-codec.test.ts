import fc from "fast-check";
import type { MessageCodec } from "../../../src/base/message.ts";
import { encodePayload } from "../../../src/base/payload.ts";
import * as codecs from "../../../src/cache/cache-codec.ts";
import { agreesWith, foreignProto } from "../../support/agrees.ts";

const proto = foreignProto("cache");
const agrees = agreesWith(proto);

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const uint = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat());
const uint32 = fc.nat({ max: 0xffff_ffff });
const flag = fc.boolean();
const payload = fc.oneof(text, fc.uint8Array({ maxLength: 20 })).map((each) => encodePayload(each));
const value = optional(payload);
const object = fc.record({
  value,
  createdAtMs: uint,
  expireTimestampMs: uint,
  readAtMs: uint,
  revision: uint,
});
const lock = fc.record({ fencingToken: uint, expireTimestampMs: uint });
const held = fc.record({ key: text, holder: text, fencingToken: uint, expireTimestampMs: uint });
const progress = optional(fc.record({ shardsDone: uint32, shards: uint32, keysSeen: uint, keysTotal: uint }));
const fault = fc.record({ code: text, message: text });
const save = fc.record({
  key: text,
  value,
  lifetimeMs: optional(uint),
  holder: text,
  fencingToken: uint,
  unlock: flag,
});
const list = fc.record({ items: fc.array(payload, { maxLength: 3 }), isContinued: flag });
const entry = fc.oneof(
  fc.record({ key: text, object, list: fc.constant(undefined) }),
  fc.record({ key: text, object: fc.constant(undefined), list }),
);

function optional<T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(values, { nil: undefined });
}

function many<T>(codec: MessageCodec<T>, values: fc.Arbitrary<T>): fc.Arbitrary<readonly Uint8Array[]> {
  return fc.array(values.map(codec.encode), { maxLength: 3 });
}

function agreesAbout<T>(method: string, codec: MessageCodec<T>, values: fc.Arbitrary<T>): void {
  agrees(`CacheService${method}`, codec, values);
}

const holding = { holder: text, fencingToken: uint };
agrees("CacheObject", codecs.cacheObject, object);
agrees("CacheLock", codecs.cacheLock, lock);
agrees("CacheHeldLock", codecs.heldLock, held);
agrees("CacheEntry", codecs.cacheEntry, entry);
agrees(
  "CacheSaveOutcome",
  codecs.saveOutcome,
  fc.oneof(
    fc.record({ saved: fc.record({ revision: uint }), fault: fc.constant(undefined) }),
    fc.record({ saved: fc.constant(undefined), fault }),
  ),
);
agrees(
  "CacheLoadOutcome",
  codecs.loadOutcome,
  fc.oneof(fc.record({ object, fault: fc.constant(undefined) }), fc.record({ object: fc.constant(undefined), fault })),
);
agreesAbout("SaveRequest", codecs.saveRequest, save);
agreesAbout("SaveResponse", codecs.saveResponse, fc.record({ revision: uint }));
agreesAbout(
  "LoadRequest",
  codecs.loadRequest,
  fc.record({ key: text, lifetimeMs: optional(uint), holder: text, retryMs: uint32 }),
);
agreesAbout("LoadResponse", codecs.loadResponse, fc.record({ object: optional(object) }));
agreesAbout("DestroyRequest", codecs.destroyRequest, fc.record({ key: text, ...holding }));
agreesAbout("DestroyResponse", codecs.destroyResponse, fc.record({ destroyed: flag }));
agreesAbout(
  "CompareAndSetRequest",
  codecs.compareAndSetRequest,
  fc.record({ key: text, expectedRevision: uint, value, lifetimeMs: optional(uint), ...holding }),
);
agreesAbout("CompareAndSetResponse", codecs.compareAndSetResponse, fc.record({ isSet: flag, revision: uint }));
const locking = fc.record({ key: text, lockMs: optional(uint), holder: text });
agreesAbout("GetOrLockRequest", codecs.getOrLockRequest, locking);
agreesAbout(
  "GetOrLockResponse",
  codecs.getOrLockResponse,
  fc.oneof(fc.record({ object, lock: fc.constant(undefined) }), fc.record({ object: fc.constant(undefined), lock })),
);
agreesAbout("LockRequest", codecs.lockRequest, locking);
for (const method of ["LockResponse", "RenewLockResponse"]) {
  agreesAbout(method, codecs.lockResponse, fc.record({ lock: optional(lock) }));
}
agreesAbout("UnlockRequest", codecs.unlockRequest, fc.record({ key: text, ...holding }));
agreesAbout("UnlockResponse", codecs.unlockResponse, fc.record({ unlocked: flag }));
agreesAbout("CheckLockRequest", codecs.checkLockRequest, fc.record({ key: text, holder: text, retryMs: uint32 }));
agreesAbout("CheckLockResponse", codecs.checkLockResponse, fc.record({ isFree: flag }));
agreesAbout(
  "RenewLockRequest",
  codecs.renewLockRequest,
  fc.record({ key: text, fencingToken: uint, lockMs: optional(uint) }),
);
agreesAbout("PushRequest", codecs.pushRequest, fc.record({ key: text, item: value }));
for (const method of ["PushResponse", "ListLengthResponse"]) {
  agreesAbout(method, codecs.lengthResponse, fc.record({ length: uint }));
}
for (const method of ["PopRequest", "ListLengthRequest"]) {
  agreesAbout(method, codecs.keyRequest, fc.record({ key: text }));
}
agreesAbout("PopResponse", codecs.popResponse, fc.record({ item: value }));
agreesAbout("SaveManyRequest", codecs.saveManyRequest, fc.record({ saves: many(codecs.saveRequest, save) }));
agreesAbout(
  "LoadManyRequest",
  codecs.loadManyRequest,
  fc.record({ keys: fc.array(text), lifetimeMs: optional(uint), holder: text }),
);
agreesAbout("KeysResponse", codecs.keysResponse, fc.record({ keys: fc.array(text), progress }));
agreesAbout("LocksResponse", codecs.locksResponse, fc.record({ locks: many(codecs.heldLock, held), progress }));
for (const method of ["SizeResponse", "ClearResponse"]) {
  agreesAbout(method, codecs.countResponse, fc.record({ count: uint, progress }));
}
for (const method of ["KeysRequest", "LocksRequest", "SizeRequest", "ClearRequest", "DumpRequest"]) {
  agreesAbout(method, codecs.patternRequest, fc.record({ pattern: text }));
}
const entries = many(codecs.cacheEntry, entry);
agreesAbout("DumpResponse", codecs.entriesMessage, fc.record({ entries, progress }));
agreesAbout("RestoreRequest", codecs.entriesMessage, fc.record({ entries, progress: fc.constant(undefined) }));
agreesAbout("RestoreResponse", codecs.restoreResponse, fc.record({ restored: uint, expired: uint }));
