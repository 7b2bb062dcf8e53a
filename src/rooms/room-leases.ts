import type { Clock } from "../base/clock.ts";
import { coalesce } from "../base/coalesce.ts";
import type { LocalRooms } from "./local-rooms.ts";
import type { RoomDeparture } from "./room-departure.ts";
import type { RoomNews } from "./room-news.ts";
import type { LocalMembers } from "./room-ports.ts";
import type { RoomSelf, RoomStore } from "./room-store.ts";

/** Rooms that are renewed at the same time. */
const BATCH = 64;

export interface RoomLeasesParts {
  readonly store: RoomStore;
  readonly rooms: LocalRooms;
  readonly members: LocalMembers;
  readonly departure: RoomDeparture;
  readonly news: RoomNews;
  readonly self: () => RoomSelf | undefined;
  readonly clock: Clock;
  /** Unit: ms. */
  readonly leaseMs: number;
  /** Told why a room could not be renewed. */
  readonly failed: (room: string, cause: unknown) => void;
}

/**
 * Renews this node's lease in each room that it has members in, three times per lease, and makes what Redis keeps of them what is here: a Redis that failed over may have lost the last
 * joins and leaves, and a node that stood still for longer than its lease has lost all its members there.
 */
export class RoomLeases {
  readonly #parts: RoomLeasesParts;
  /** Renews all rooms. A round that takes long is not overtaken by the next one. */
  readonly renew: () => Promise<void>;
  #stop: (() => void) | undefined;

  constructor(parts: RoomLeasesParts) {
    this.#parts = parts;
    this.renew = coalesce(() => this.#renewAll());
  }

  start(): void {
    const { clock, leaseMs } = this.#parts;
    this.#stop = clock.every(leaseMs / 3, () => void this.renew());
  }

  stop(): void {
    this.#stop?.();
  }

  async #renewAll(): Promise<void> {
    const { rooms, self: selfNow, failed } = this.#parts;
    const self = selfNow();
    if (!self) return;
    const names = rooms.names();
    for (let start = 0; start < names.length; start += BATCH) {
      const batch = names.slice(start, start + BATCH);
      await Promise.all(
        batch.map((room) => this.#renewRoom(room, self).catch((cause: unknown) => failed(room, cause))),
      );
    }
  }

  async #renewRoom(room: string, self: RoomSelf): Promise<void> {
    const { store, rooms, departure, members, news } = this.#parts;
    for (const connectionId of rooms.get(room)?.members.keys() ?? []) {
      if (!members.held(connectionId)) rooms.remove(room, connectionId);
    }
    const before = rooms.get(room);
    if (!before) return;
    const { incarnation } = before;
    const outcome = await store.renew(room, incarnation, self, before.digest);
    if (outcome === "renewed") return;
    // Somebody may have joined or left meanwhile, also all of them: what is here now is what counts.
    const now = rooms.get(room);
    if (now && now.incarnation !== incarnation) return;
    const held = { members: now?.members ?? new Map(), undecided: rooms.undecided(room) };
    const watchers = outcome === "gone" ? undefined : await store.restore(room, incarnation, self, held);
    if (watchers) news.spread(room, watchers);
    else departure.end(room, incarnation);
  }
}
