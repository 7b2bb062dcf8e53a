import { type CallContext, nestedContext } from "../base/call-context.ts";
import { remainingMs } from "../base/deadline.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import { checkPayload } from "../base/json-payload.ts";
import {
  checkLockRequest,
  checkLockResponse,
  compareAndSetRequest,
  compareAndSetResponse,
  destroyRequest,
  destroyResponse,
  getOrLockRequest,
  getOrLockResponse,
  keyRequest,
  lengthResponse,
  loadManyRequest,
  loadOutcome,
  loadRequest,
  loadResponse,
  lockRequest,
  lockResponse,
  manyResponse,
  popResponse,
  pushRequest,
  renewLockRequest,
  type SaveRequest,
  saveManyRequest,
  saveOutcome,
  saveRequest,
  saveResponse,
  unlockRequest,
  unlockResponse,
} from "./cache-codec.ts";
import {
  checkHolder,
  checkKey,
  checkLifetime,
  checkLockTime,
  lockLost,
  objectLocked,
  objectNotFound,
} from "./cache-faults.ts";
import type { Barred, CachedObject, CacheStore, TakenLock, Writer } from "./cache-store.ts";
import type { LockWaits } from "./lock-waits.ts";
import type { StreamLocks } from "./stream-locks.ts";

/** Takes an encoded request and resolves with the encoded response. Rejects with a Fault. `locks`: of the stream that it came on, if any. */
export type CacheHandler = (body: Uint8Array, context: CallContext, locks?: StreamLocks) => Promise<Uint8Array>;

/** Told what comes of loads, for the metrics. */
export interface LoadObserver {
  loaded(result: "hit" | "miss" | "locked"): void;
}

export interface CacheRequestsParts {
  readonly store: CacheStore;
  readonly waits: LockWaits;
  /** What this coordinator goes by: who asks without a name of its own. */
  readonly nodeName: () => string;
  /** Largest value, encoded. Unit: bytes. */
  readonly maxValueBytes: number;
  /** Of a lock that is asked for without a time. Unit: ms. */
  readonly defaultLockMs: number;
  readonly observer: LoadObserver;
}

/** A method of CacheService that answers once. */
export type CacheMethod = keyof ReturnType<typeof cacheRequests>;

/** Those methods. */
export function cacheRequests(parts: CacheRequestsParts) {
  const { store, waits, maxValueBytes, defaultLockMs, observer } = parts;
  const holderOf = ({ holder }: { readonly holder: string }): string => {
    checkHolder(holder);
    return holder === "" ? parts.nodeName() : holder;
  };
  const writerOf = (request: Writer): Writer => ({ holder: holderOf(request), fencingToken: request.fencingToken });
  const valueIn = (payload: Uint8Array | undefined): Uint8Array => {
    if (payload === undefined) throw new Fault("INVALID_ARGUMENT", "a value is required");
    if (payload.length > maxValueBytes) {
      const text = `a value of ${payload.length} bytes exceeds the limit of ${maxValueBytes} (maxCacheValueBytes)`;
      throw new Fault("RESOURCE_EXHAUSTED", text);
    }
    checkPayload(payload);
    return payload;
  };
  const lockTimeOf = ({ lockMs = defaultLockMs }: { readonly lockMs?: number | undefined }): number => {
    checkLockTime(lockMs);
    return lockMs;
  };
  const objectIn = ({ value, lifetimeMs }: Pick<SaveRequest, "value" | "lifetimeMs">) => {
    checkLifetime(lifetimeMs);
    return { value: valueIn(value), lifetimeMs };
  };

  const save = async (request: SaveRequest, context: CallContext, locks?: StreamLocks): Promise<number> => {
    const { key, unlock, fencingToken } = request;
    checkKey(key);
    if (unlock && fencingToken === 0) throw new Fault("INVALID_ARGUMENT", "`unlock` needs the lock's fencing token");
    const revision = admitted(await store.save(key, writerOf(request), objectIn(request), unlock, context));
    if (unlock) locks?.dropped(key, fencingToken);
    waits.wake(key);
    return revision;
  };

  const load = async (
    key: string,
    holder: string,
    lifetimeMs: number | undefined,
    context: CallContext,
  ): Promise<CachedObject | "locked" | undefined> => {
    checkKey(key);
    const found = await store.load(key, holder, lifetimeMs, context);
    observer.loaded(found === undefined ? "miss" : found === "locked" ? "locked" : "hit");
    return found;
  };

  /** Where the caller has gone meanwhile, nobody would use the lock: it is given back, and undefined is what is left. */
  const kept = async (
    key: string,
    lock: TakenLock,
    lockMs: number,
    context: CallContext,
    locks?: StreamLocks,
  ): Promise<TakenLock | undefined> => {
    if (context.signal.aborted || remainingMs(context.deadline) === 0) {
      await store.unlock(key, { holder: "", fencingToken: lock.fencingToken }, context).catch(() => undefined);
      waits.wake(key);
      return undefined;
    }
    locks?.taken(key, lock, lockMs);
    return lock;
  };

  /** Waits for so long that a key becomes free: undefined where it does not. */
  const retried = <T>(
    key: string,
    retryMs: number,
    context: CallContext,
    attempt: () => Promise<T | undefined>,
  ): Promise<T | undefined> =>
    waits.until(key, attempt, nestedContext(context, retryMs)).catch((thrown: unknown) => {
      if (Fault.from(thrown).code === "DEADLINE_EXCEEDED") return undefined;
      throw thrown;
    });

  return {
    Save: async (body, context, locks) =>
      saveResponse.encode({ revision: await save(decodeRequest(saveRequest.decode, body), context, locks) }),
    Load: async (body, context) => {
      const request = decodeRequest(loadRequest.decode, body);
      const { key, lifetimeMs, retryMs } = request;
      checkLifetime(lifetimeMs);
      const holder = holderOf(request);
      let found = await load(key, holder, lifetimeMs, context);
      if (found === "locked" && retryMs > 0) {
        const again = await retried(key, retryMs, context, async () => {
          const outcome = await load(key, holder, lifetimeMs, context);
          return outcome === "locked" ? undefined : { outcome };
        });
        if (again) found = again.outcome;
      }
      if (found === "locked") throw objectLocked();
      if (!found) throw objectNotFound();
      return loadResponse.encode({ object: found });
    },
    Destroy: async (body, context) => {
      const request = decodeRequest(destroyRequest.decode, body);
      checkKey(request.key);
      const destroyed = admitted(await store.destroy(request.key, writerOf(request), context));
      return destroyResponse.encode({ destroyed });
    },
    CompareAndSet: async (body, context) => {
      const request = decodeRequest(compareAndSetRequest.decode, body);
      const { key, expectedRevision } = request;
      checkKey(key);
      const object = objectIn(request);
      const outcome = await store.compareAndSet(key, writerOf(request), expectedRevision, object, context);
      if (outcome === "differs") return compareAndSetResponse.encode({ isSet: false, revision: 0 });
      const revision = admitted(outcome);
      waits.wake(key);
      return compareAndSetResponse.encode({ isSet: true, revision });
    },
    GetOrLock: async (body, context, locks) => {
      const request = decodeRequest(getOrLockRequest.decode, body);
      const { key } = request;
      checkKey(key);
      const [holder, lockMs] = [holderOf(request), lockTimeOf(request)];
      locks?.assertRoom();
      const attempt = async () => {
        const outcome = await store.getOrLock(key, holder, lockMs, context);
        if (outcome === "locked") return undefined;
        if ("value" in outcome) return { object: outcome, lock: undefined };
        const lock = await kept(key, outcome, lockMs, context, locks);
        return lock && { object: undefined, lock };
      };
      return getOrLockResponse.encode((await attempt()) ?? (await waits.until(key, attempt, context)));
    },
    Lock: async (body, context, locks) => {
      const request = decodeRequest(lockRequest.decode, body);
      const { key } = request;
      checkKey(key);
      const [holder, lockMs] = [holderOf(request), lockTimeOf(request)];
      locks?.assertRoom();
      const lock = await store.lock(key, holder, lockMs, context);
      return lockResponse.encode({ lock: lock && (await kept(key, lock, lockMs, context, locks)) });
    },
    Unlock: async (body, context, locks) => {
      const request = decodeRequest(unlockRequest.decode, body);
      const { key, fencingToken } = request;
      checkKey(key);
      const unlocked = await store.unlock(key, writerOf(request), context);
      locks?.dropped(key, fencingToken);
      waits.wake(key);
      return unlockResponse.encode({ unlocked });
    },
    CheckLock: async (body, context) => {
      const request = decodeRequest(checkLockRequest.decode, body);
      const { key, retryMs } = request;
      checkKey(key);
      const holder = holderOf(request);
      const attempt = async () => (await store.isFree(key, holder, context)) || undefined;
      const isFree = (await attempt()) ?? (retryMs > 0 && (await retried(key, retryMs, context, attempt)));
      return checkLockResponse.encode({ isFree: isFree === true });
    },
    RenewLock: async (body, context, locks) => {
      const request = decodeRequest(renewLockRequest.decode, body);
      const { key, fencingToken } = request;
      checkKey(key);
      const lockMs = lockTimeOf(request);
      const lock = await store.renewLock(key, fencingToken, lockMs, context);
      if (lock) locks?.renewed(key, fencingToken, lockMs);
      else locks?.dropped(key, fencingToken);
      return lockResponse.encode({ lock });
    },
    Push: async (body, context) => {
      const { key, item } = decodeRequest(pushRequest.decode, body);
      checkKey(key);
      return lengthResponse.encode({ length: await store.push(key, valueIn(item), context) });
    },
    Pop: async (body, context) => {
      const { key } = decodeRequest(keyRequest.decode, body);
      checkKey(key);
      return popResponse.encode({ item: await store.pop(key, context) });
    },
    ListLength: async (body, context) => {
      const { key } = decodeRequest(keyRequest.decode, body);
      checkKey(key);
      return lengthResponse.encode({ length: await store.listLength(key, context) });
    },
    SaveMany: async (body, context, locks) => {
      const { saves } = decodeRequest(saveManyRequest.decode, body);
      // Together in one turn: the commands for one shard leave in one write.
      const outcomes = saves.map(async (each) => {
        const request = decodeRequest(saveRequest.decode, each);
        return saveOutcome.encode({ saved: { revision: await save(request, context, locks) }, fault: undefined });
      });
      const failed = (fault: SentFault) => saveOutcome.encode({ saved: undefined, fault });
      return manyResponse.encode({ outcomes: await settled(outcomes, failed) });
    },
    LoadMany: async (body, context) => {
      const request = decodeRequest(loadManyRequest.decode, body);
      const { keys, lifetimeMs } = request;
      checkLifetime(lifetimeMs);
      const holder = holderOf(request);
      const outcomes = keys.map(async (key) => {
        const found = await load(key, holder, lifetimeMs, context);
        if (found === "locked") throw objectLocked();
        if (!found) throw objectNotFound();
        return loadOutcome.encode({ object: found, fault: undefined });
      });
      const failed = (fault: SentFault) => loadOutcome.encode({ object: undefined, fault });
      return manyResponse.encode({ outcomes: await settled(outcomes, failed) });
    },
  } satisfies Record<string, CacheHandler>;
}

interface SentFault {
  readonly code: string;
  readonly message: string;
}

function admitted<T>(outcome: T | Barred): Exclude<T, Barred> {
  if (outcome === "locked") throw objectLocked();
  if (outcome === "lost") throw lockLost();
  return outcome as Exclude<T, Barred>;
}

/** What came of each, its fault among them. A bug is no outcome: it fails the whole. */
function settled(
  outcomes: readonly Promise<Uint8Array>[],
  failed: (fault: SentFault) => Uint8Array,
): Promise<Uint8Array[]> {
  return Promise.all(
    outcomes.map((outcome) =>
      outcome.catch((thrown: unknown) => {
        const fault = Fault.from(thrown);
        if (fault.code === "INTERNAL") throw fault;
        return failed({ code: fault.code, message: fault.message });
      }),
    ),
  );
}
