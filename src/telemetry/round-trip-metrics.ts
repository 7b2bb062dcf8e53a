import { Histogram, type Registry } from "prom-client";
import { type Observe, TalliedHistogram } from "./tallied-histogram.ts";

/** Connections to Redis by what they are for, since some wait for more than Redis itself: a write to the storage and a task's for a replica. */
export const REDIS_CONNECTIONS = ["control", "store", "storage", "cache", "tasks"] as const;
export type RedisConnection = (typeof REDIS_CONNECTIONS)[number];

/** How far away the others are. */
export interface RoundTripRecorder {
  redis(connection: RedisConnection, tookMs: number): void;
  link(tookMs: number): void;
}

/** From 50 us, where a Redis on the same machine is, to longer than the time after which one is taken for hung. Unit: s. */
const BUCKETS = [5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export function roundTripRecorder(registers: Registry[]): RoundTripRecorder {
  const redis = new TalliedHistogram({
    registers,
    name: "gearmesh_redis_round_trip_seconds",
    help: "Time from sending a command of the coordinator's own to Redis' reply, by connection: control asks the Redis beside it every 250 ms how it is; store (names, connections, rooms), storage, cache and tasks go to whichever Redis has the key, and storage and tasks may wait there for a replica. Commands of functions, which have their own connection, are in gearmesh_call_seconds.",
    labelNames: ["connection"],
    buckets: BUCKETS,
  });
  const link = new Histogram({
    registers,
    name: "gearmesh_link_round_trip_seconds",
    help: "Time from a heartbeat to another coordinator to its answer, which overtakes requests. Much more than the network takes: the event loop of one of the two is busy.",
    buckets: BUCKETS,
  });
  const series = new Map<RedisConnection, Observe>(
    REDIS_CONNECTIONS.map((connection) => [connection, redis.of({ connection })]),
  );
  return {
    redis: (connection, tookMs) => series.get(connection)?.(tookMs / 1000),
    link: (tookMs) => link.observe(tookMs / 1000),
  };
}
