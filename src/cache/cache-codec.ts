import {
  byteStrings,
  encoded,
  flag,
  type MessageOf,
  message,
  nested,
  optionalUint,
  text,
  texts,
  uint,
} from "../base/message.ts";

/** `gearmesh.v1.CacheObject`. */
export const cacheObject = message({
  value: encoded(1),
  createdAtMs: uint(2),
  expireTimestampMs: uint(3),
  readAtMs: uint(4),
  revision: uint(5),
});

/** `gearmesh.v1.CacheLock`. */
export const cacheLock = message({ fencingToken: uint(1), expireTimestampMs: uint(2) });

/** The messages of each method of CacheService that answers once, but for the prefix of their names. */
export const saveRequest = message({
  key: text(1),
  value: encoded(2),
  lifetimeMs: optionalUint(3),
  holder: text(4),
  fencingToken: uint(5),
  unlock: flag(6),
});
export type SaveRequest = MessageOf<typeof saveRequest>;
export const saveResponse = message({ revision: uint(1) });

export const loadRequest = message({ key: text(1), lifetimeMs: optionalUint(2), holder: text(3), retryMs: uint(4) });
export const loadResponse = message({ object: nested(1, cacheObject) });

export const destroyRequest = message({ key: text(1), holder: text(2), fencingToken: uint(3) });
export const destroyResponse = message({ destroyed: flag(1) });

export const compareAndSetRequest = message({
  key: text(1),
  expectedRevision: uint(2),
  value: encoded(3),
  lifetimeMs: optionalUint(4),
  holder: text(5),
  fencingToken: uint(6),
});
export const compareAndSetResponse = message({ isSet: flag(1), revision: uint(2) });

export const getOrLockRequest = message({ key: text(1), lockMs: optionalUint(2), holder: text(3) });
export const getOrLockResponse = message({ object: nested(1, cacheObject), lock: nested(2, cacheLock) });

export const lockRequest = message({ key: text(1), lockMs: optionalUint(2), holder: text(3) });
/** Of Lock and RenewLock. */
export const lockResponse = message({ lock: nested(1, cacheLock) });

export const unlockRequest = message({ key: text(1), holder: text(2), fencingToken: uint(3) });
export const unlockResponse = message({ unlocked: flag(1) });

export const checkLockRequest = message({ key: text(1), holder: text(2), retryMs: uint(3) });
export const checkLockResponse = message({ isFree: flag(1) });

export const renewLockRequest = message({ key: text(1), fencingToken: uint(2), lockMs: optionalUint(3) });

export const pushRequest = message({ key: text(1), item: encoded(2) });
/** Of Push and ListLength. */
export const lengthResponse = message({ length: uint(1) });

/** Of Pop and ListLength. */
export const keyRequest = message({ key: text(1) });
export const popResponse = message({ item: encoded(1) });

const fault = message({ code: text(1), message: text(2) });

/** Of SaveMany: its items are encoded. */
export const saveManyRequest = message({ saves: byteStrings(1) });
export const saveOutcome = message({ saved: nested(1, saveResponse), fault: nested(2, fault) });

export const loadManyRequest = message({ keys: texts(1), lifetimeMs: optionalUint(2), holder: text(3) });
export const loadOutcome = message({ object: nested(1, cacheObject), fault: nested(2, fault) });

/** Of SaveMany and LoadMany: their outcomes are encoded. */
export const manyResponse = message({ outcomes: byteStrings(1) });

/** `gearmesh.v1.CacheProgress`. */
const progress = message({ shardsDone: uint(1), shards: uint(2), keysSeen: uint(3), keysTotal: uint(4) });

/** Requests that name a pattern and nothing else: of Keys, Locks, Size, Clear and Dump. */
export const patternRequest = message({ pattern: text(1) });

/** Found by one step of a scan. A step of SCAN may find more than it was asked for. */
const MAX_FOUND = 131_072;

export const keysResponse = message({ keys: texts(1, MAX_FOUND), progress: nested(2, progress) });

/** `gearmesh.v1.CacheHeldLock`. */
export const heldLock = message({ key: text(1), holder: text(2), fencingToken: uint(3), expireTimestampMs: uint(4) });

/** Its locks are encoded. */
export const locksResponse = message({ locks: byteStrings(1, MAX_FOUND), progress: nested(2, progress) });

/** Of Size and Clear. */
export const countResponse = message({ count: uint(1), progress: nested(2, progress) });

/** `gearmesh.v1.CacheListPart`: its items are encoded payloads. */
const listPart = message({ items: byteStrings(1), isContinued: flag(2) });

/** `gearmesh.v1.CacheEntry`. */
export const cacheEntry = message({ key: text(1), object: nested(2, cacheObject), list: nested(3, listPart) });

/** Of Dump, and without the progress of what is sent to Restore. Its entries are encoded. */
export const entriesMessage = message({ entries: byteStrings(1), progress: nested(2, progress) });

export const restoreResponse = message({ restored: uint(1), expired: uint(2) });
