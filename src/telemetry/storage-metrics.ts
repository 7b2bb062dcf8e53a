import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { StorageObserver } from "../storage/storage-observer.ts";
import { MethodTally } from "./method-tally.ts";

export type StorageRecorder = StorageObserver;

/** From 100 us, where Redis is beside, to the default deadline. Unit: s. */
const BUCKETS = [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What is asked at each scrape. */
export interface StorageSources {
  readonly storage: () => {
    /** Leases of the deployment, as this coordinator counted them last. */
    readonly leases: number;
    /** Watches that are open here. */
    readonly watches: number;
    /** Keys that they are about, and that are there. */
    readonly watchedKeys: number;
  };
}

export function watchStorageSources(registers: Registry[], sources: StorageSources): void {
  const gauge = (name: string, help: string, of: keyof ReturnType<StorageSources["storage"]>): Gauge =>
    new Gauge({
      registers,
      name,
      help,
      collect() {
        this.set(sources.storage()[of]);
      },
    });
  gauge(
    "gearmesh_storage_leases",
    "Leases of the whole deployment, as this coordinator counted them last: every coordinator shows the same. Those of a shard that is away are not counted.",
    "leases",
  );
  gauge("gearmesh_storage_watches", "Watches of the storage that are open here.", "watches");
  gauge(
    "gearmesh_storage_watched_keys",
    "Keys that the watches of this coordinator are about. Close to storageMaxWatchedKeys: watches are about to end with RESOURCE_EXHAUSTED.",
    "watchedKeys",
  );
}

/** Counts in plain numbers and tells them at each scrape, as the runs of functions are counted. */
export function storageRecorder(registers: Registry[]): StorageRecorder {
  const ended = new MethodTally();
  const seconds = new Histogram({
    registers,
    name: "gearmesh_storage_seconds",
    help: "Time that each request to the storage took here, from the moment it was decoded.",
    labelNames: ["method"],
    buckets: BUCKETS,
  });
  new Counter({
    registers,
    name: "gearmesh_storage_requests_total",
    help: "Requests to the storage that ended here, by method of StorageService and by code: OK, or one of docs/ERRORS.md. INDETERMINATE growing: replicas do not confirm in time, or Redis does not answer.",
    labelNames: ["method", "code"],
    collect() {
      ended.drain((labels, count) => this.inc(labels, count));
    },
  });
  const leases = new Counter({
    registers,
    name: "gearmesh_storage_leases_ended_total",
    help: "Leases that this coordinator ended, with their keys, wherever those are: expired, since nobody renewed them, or revoked.",
    labelNames: ["how"],
  });
  for (const how of ["expired", "revoked"]) leases.inc({ how }, 0);
  const missed = new Counter({
    registers,
    name: "gearmesh_storage_missed_total",
    help: "Changes that watchers did not read in time, each counted for each watcher: they were told so, and shown the whole state anew. Growing: a watcher reads too slowly for what it watches.",
  });
  return {
    missed: (count) => missed.inc(count),
    leaseEnded: (how) => leases.inc({ how }),
    ended(method, code, duration) {
      ended.count(method, code);
      seconds.observe({ method }, duration);
    },
  };
}
