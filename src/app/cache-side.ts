import { type CallContext, type CallSignal, NEVER_ABORTED } from "../base/call-context.ts";
import { systemClock } from "../base/clock.ts";
import { deadlineIn } from "../base/deadline.ts";
import type { FaultCode } from "../base/fault.ts";
import { type CacheHandler, type CacheMethod, cacheRequests, type LoadObserver } from "../cache/cache-requests.ts";
import { CacheRestore } from "../cache/cache-restore.ts";
import { type CacheScanHandler, type CacheScanMethod, cacheScans } from "../cache/cache-scans.ts";
import type { CacheStore } from "../cache/cache-store.ts";
import { LockWaits } from "../cache/lock-waits.ts";
import { StreamLocks } from "../cache/stream-locks.ts";
import { type Handler, METHOD, type Method } from "../mesh/method.ts";
import type { Settings } from "./config/settings.ts";
import { observed as observedRequest } from "./observed.ts";

/** From one round of those who wait for locked keys to the next: as late may one of them hear what happened at another node. Unit: ms. */
const WAIT_PERIOD_MS = 20;
/** What comes with a value in a message, at most. Unit: bytes. */
const ENTRY_BYTES = 4096;
/** Longest that a lock is tried to be given back for a client that has gone; it expires then. Unit: ms. */
const GIVE_BACK_TIMEOUT_MS = 5000;

const METHOD_OF: Record<CacheMethod, Method> = {
  Save: METHOD.CACHE_SAVE,
  Load: METHOD.CACHE_LOAD,
  Destroy: METHOD.CACHE_DESTROY,
  CompareAndSet: METHOD.CACHE_COMPARE_AND_SET,
  GetOrLock: METHOD.CACHE_GET_OR_LOCK,
  Lock: METHOD.CACHE_LOCK,
  Unlock: METHOD.CACHE_UNLOCK,
  CheckLock: METHOD.CACHE_CHECK_LOCK,
  RenewLock: METHOD.CACHE_RENEW_LOCK,
  Push: METHOD.CACHE_PUSH,
  Pop: METHOD.CACHE_POP,
  ListLength: METHOD.CACHE_LIST_LENGTH,
  SaveMany: METHOD.CACHE_SAVE_MANY,
  LoadMany: METHOD.CACHE_LOAD_MANY,
};

/** Told what happens, for the metrics. */
export interface CacheObserver extends LoadObserver {
  ended(method: CacheMethod, code: FaultCode | "OK", seconds: number): void;
}

export interface CacheSideParts {
  readonly store: CacheStore;
  readonly nodeName: () => string;
  readonly observer: CacheObserver;
}

/** The cache, as clients reach it. */
export interface CacheSide {
  /** The methods of CacheService. */
  readonly requests: Readonly<Record<CacheMethod, CacheHandler>>;
  readonly scans: Readonly<Record<CacheScanMethod, CacheScanHandler>>;
  readonly restore: () => CacheRestore;
  /** What a client may ask for on one stream; the locks that it takes there are given back once `ended` aborts. */
  streamHandlers(ended: CallSignal): readonly [Method, Handler][];
  /** For the metrics. */
  readonly counts: { readonly waiting: number; readonly locks: number };
}

export function createCacheSide(settings: Settings, { store, nodeName, observer }: CacheSideParts): CacheSide {
  const { maxCacheValueBytes, maxMessageBytes, cacheLockMs, maxCacheWaits } = settings;
  const maxValueBytes = Math.min(maxCacheValueBytes, maxMessageBytes - ENTRY_BYTES);
  const waits = new LockWaits({ clock: systemClock, periodMs: WAIT_PERIOD_MS, maxWaits: maxCacheWaits });
  const requests = cacheRequests({ store, waits, nodeName, maxValueBytes, defaultLockMs: cacheLockMs, observer });
  const names = Object.keys(requests) as CacheMethod[];
  const observed = Object.fromEntries(
    names.map((name) => {
      const handle: CacheHandler = observedRequest(requests[name], (...end) => observer.ended(name, ...end));
      return [name, handle] as const;
    }),
  ) as Record<CacheMethod, CacheHandler>;
  const streams = new Set<StreamLocks>();
  const giveBack = async (key: string, fencingToken: number): Promise<void> => {
    const context = { deadline: deadlineIn(GIVE_BACK_TIMEOUT_MS), signal: NEVER_ABORTED, depth: 0 };
    // Where that fails, it expires.
    await store.unlock(key, { holder: "", fencingToken }, context).catch(() => undefined);
    waits.wake(key);
  };
  return {
    requests: observed,
    scans: cacheScans(store),
    restore: () => new CacheRestore({ store, maxValueBytes, now: Date.now }),
    streamHandlers(ended) {
      const locks = new StreamLocks({ giveBack, now: () => systemClock.now() });
      streams.add(locks);
      ended.addEventListener("abort", () => {
        streams.delete(locks);
        locks.end();
      });
      return names.map((name) => {
        const handle = observed[name];
        return [METHOD_OF[name], (body: Uint8Array, context: CallContext) => handle(body, context, locks)];
      });
    },
    get counts() {
      let held = 0;
      for (const { size } of streams) held += size;
      return { waiting: waits.waiting, locks: held };
    },
  };
}
