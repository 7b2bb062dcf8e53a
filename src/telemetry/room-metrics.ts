import { Counter, Histogram, type Registry } from "prom-client";
import type { FaultCode } from "../base/fault.ts";
import { askedGauges } from "./asked-gauges.ts";
import { MethodTally } from "./method-tally.ts";

/** What is said in rooms, and how far it goes. */
export interface RoomRecorder {
  said(): void;
  delivered(receivers: number): void;
  /** A connection of this coordinator has done something with a room. */
  ended(what: RoomVerb, code: FaultCode | "OK", seconds: number): void;
}

export type RoomVerb = "join" | "leave" | "say" | "view";

/** From 100 us, where all members are here, to the default timeout of hooks. Unit: s. */
const BUCKETS = [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What is asked at each scrape. */
export interface RoomSources {
  readonly rooms: () => {
    /** Rooms with members here. */
    readonly held: number;
    /** Members here, over all rooms. */
    readonly members: number;
    /** Watches that are open here. */
    readonly watches: number;
  };
}

export function watchRoomSources(registers: Registry[], sources: RoomSources): void {
  const gauge = askedGauges(registers);
  gauge(
    "gearmesh_rooms_held",
    "Rooms in which connections of this coordinator are. It renews its lease in each of them.",
    () => sources.rooms().held,
  );
  gauge(
    "gearmesh_room_members",
    "Memberships of this coordinator's connections, over all rooms.",
    () => sources.rooms().members,
  );
  gauge("gearmesh_room_watches", "Watches of rooms that are open here.", () => sources.rooms().watches);
}

export function roomRecorder(registers: Registry[]): RoomRecorder {
  const said = new Counter({
    registers,
    name: "gearmesh_room_messages_total",
    help: "Messages that were said in rooms at this coordinator, by its connections and by servers.",
  });
  const delivered = new Counter({
    registers,
    name: "gearmesh_room_deliveries_total",
    help: "Messages of rooms that were queued for connections of this coordinator, once for each receiver.",
  });
  const ended = new MethodTally();
  const seconds = new Histogram({
    registers,
    name: "gearmesh_room_seconds",
    help: "Time that what connections did with rooms took, hooks included, by method as gearmesh_room_requests_total.",
    labelNames: ["method"],
    buckets: BUCKETS,
  });
  new Counter({
    registers,
    name: "gearmesh_room_requests_total",
    help: "What connections of this coordinator did with rooms, by method (join, leave, say, view) and by code: OK, or one of docs/ERRORS.md. Requests to RoomService are in grpc_server_handled_total.",
    labelNames: ["method", "code"],
    collect() {
      ended.drain((labels, count) => this.inc(labels, count));
    },
  });
  return {
    said: () => said.inc(),
    delivered: (receivers) => delivered.inc(receivers),
    ended(method, code, duration) {
      ended.count(method, code);
      seconds.observe({ method }, duration);
    },
  };
}
