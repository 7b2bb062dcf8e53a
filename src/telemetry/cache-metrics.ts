import { Counter, Histogram, type Registry } from "prom-client";
import type { FaultCode } from "../base/fault.ts";
import { askedGauges } from "./asked-gauges.ts";
import { MethodTally } from "./method-tally.ts";

/** What is asked of the cache, and what comes of it. */
export interface CacheRecorder {
  loaded(result: "hit" | "miss" | "locked"): void;
  /** A method of CacheService has ended. */
  ended(method: string, code: FaultCode | "OK", seconds: number): void;
}

/** From 50 us, where Redis is beside, to longer than anybody waits for a lock by default. Unit: s. */
const BUCKETS = [5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What is asked at each scrape. */
export interface CacheSources {
  readonly cache: () => {
    /** Callers that wait here for a key that is locked. */
    readonly waiting: number;
    /** Locks that were taken on streams which are open here. */
    readonly locks: number;
  };
}

export function watchCacheSources(registers: Registry[], sources: CacheSources): void {
  const gauge = askedGauges(registers);
  gauge(
    "gearmesh_cache_waiting",
    "Callers that wait here until a key of the cache is saved or unlocked. Close to maxCacheWaits: more are about to be refused.",
    () => sources.cache().waiting,
  );
  gauge(
    "gearmesh_cache_stream_locks",
    "Locks of the cache that clients have taken on streams which are open here: they are given back when those end.",
    () => sources.cache().locks,
  );
}

/** Counts in plain numbers and tells them at each scrape, since loads are many. */
export function cacheRecorder(registers: Registry[]): CacheRecorder {
  const loads = { hit: 0, miss: 0, locked: 0 };
  const ends = new MethodTally();
  const seconds = new Histogram({
    registers,
    name: "gearmesh_cache_seconds",
    help: "Time that each request to the cache took here, what it waited for a lock among it.",
    labelNames: ["method"],
    buckets: BUCKETS,
  });
  new Counter({
    registers,
    name: "gearmesh_cache_loads_total",
    help: "Attempts to load an object of the cache here: hit, miss, or locked by another holder.",
    labelNames: ["result"],
    collect() {
      for (const result of ["hit", "miss", "locked"] as const) {
        this.inc({ result }, loads[result]);
        loads[result] = 0;
      }
    },
  });
  new Counter({
    registers,
    name: "gearmesh_cache_requests_total",
    help: "Requests to the cache that ended here, by method of CacheService and by code: OK, or one of docs/ERRORS.md.",
    labelNames: ["method", "code"],
    collect() {
      ends.drain((labels, count) => this.inc(labels, count));
    },
  });
  return {
    loaded: (result) => {
      loads[result]++;
    },
    ended: (method, code, duration) => {
      ends.count(method, code);
      seconds.observe({ method }, duration);
    },
  };
}
