import { Counter, Gauge, type Registry } from "prom-client";

/** What is said in rooms, and how far it goes. */
export interface RoomRecorder {
  said(): void;
  delivered(receivers: number): void;
}

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
  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      registers,
      name,
      help,
      collect() {
        this.set(read());
      },
    });
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
  return { said: () => said.inc(), delivered: (receivers) => delivered.inc(receivers) };
}
