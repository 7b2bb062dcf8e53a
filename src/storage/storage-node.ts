import type { Clock } from "../base/clock.ts";
import { ChangedKeys } from "./changed-keys.ts";
import { LeaseDoubts } from "./lease-doubts.ts";
import type { LeaseStore } from "./lease-store.ts";
import { LeaseSweep } from "./lease-sweep.ts";
import { Leases } from "./leases.ts";
import { Storage } from "./storage.ts";
import { StorageListing } from "./storage-listing.ts";
import { StorageNews } from "./storage-news.ts";
import type { StorageObserver } from "./storage-observer.ts";
import type { StoragePeers } from "./storage-ports.ts";
import type { StorageStore } from "./storage-store.ts";
import type { WatchLimits } from "./storage-watch.ts";
import { StorageWatches } from "./storage-watches.ts";
import { WatchCheck } from "./watch-check.ts";
import { WatchInterest } from "./watch-interest.ts";

/** Lists that may be under way at once, and watchers that may be shown the state at once. */
const MAX_LISTS = 32;
const MAX_STATES = 64;

export interface StorageNodeParts {
  readonly store: StorageStore;
  readonly leaseStore: LeaseStore;
  readonly nodeId: () => string | undefined;
  readonly peers: StoragePeers;
  readonly clock: Clock;
  /** Largest value. Unit: bytes. */
  readonly maxValueBytes: number;
  /** Keys that one list may have. */
  readonly maxListedKeys: number;
  /** Keys that may be watched here. */
  readonly maxWatchedKeys: number;
  readonly watchLimits: WatchLimits;
  /** How often watched prefixes are looked at without a reason to. Unit: ms. */
  readonly watchCheckMs: number;
  readonly observer: StorageObserver;
  /** Told what could not be done in the background, and is tried again. */
  readonly failed: (cause: unknown) => void;
}

/** All that one node does for the storage. */
export interface StorageNode {
  readonly storage: Storage;
  readonly listing: StorageListing;
  readonly leases: Leases;
  readonly sweep: LeaseSweep;
  readonly watches: StorageWatches;
  /** What watchers are shown first. */
  readonly states: StorageListing;
  readonly interest: WatchInterest;
  readonly news: StorageNews;
  readonly check: WatchCheck;
}

/** Puts it together. Nothing runs before `sweep.start()`, `interest.start()` and `check.start()`. */
export function createStorageNode(parts: StorageNodeParts): StorageNode {
  const { store, leaseStore, observer, maxListedKeys, maxWatchedKeys } = parts;
  const watches: StorageWatches = new StorageWatches({
    limits: parts.watchLimits,
    maxKeys: maxWatchedKeys,
    missed: (count) => observer.missed(count),
  });
  const doubt = (): void => check.doubt();
  const reading = new ChangedKeys({ store, read: (key, state) => watches.learn(key, state), lost: doubt });
  const check: WatchCheck = new WatchCheck({
    ...parts,
    watches,
    differs: (key) => reading.add(key),
    periodMs: parts.watchCheckMs,
  });
  const interest = new WatchInterest({ ...parts, ranges: () => watches.ranges, doubt });
  const news = new StorageNews({
    ...parts,
    interest,
    changed: (key) => watches.ranges.has(key) && reading.add(key),
    doubt,
  });
  const changed = (key: string): void => news.spread(key);
  const leases = new Leases({ leases: leaseStore, store, changed, ended: (how) => observer.leaseEnded(how) });
  const doubts = new LeaseDoubts({ ...parts, store: leaseStore, leases });
  return {
    storage: new Storage({ ...parts, leases, doubts, changed }),
    listing: new StorageListing({ store, doubts, maxLists: MAX_LISTS, maxKeys: maxListedKeys }),
    leases,
    sweep: new LeaseSweep({ ...parts, store: leaseStore, leases }),
    watches,
    states: new StorageListing({ store, doubts, maxLists: MAX_STATES, maxKeys: maxWatchedKeys }),
    interest,
    news,
    check,
  };
}
