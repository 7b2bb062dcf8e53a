import type { Clock } from "../base/clock.ts";
import { HookGate } from "./hook-gate.ts";
import { LocalRooms } from "./local-rooms.ts";
import { RoomDelivery } from "./room-delivery.ts";
import { RoomDeparture } from "./room-departure.ts";
import { RoomLeases } from "./room-leases.ts";
import { RoomMembers } from "./room-members.ts";
import { RoomNews } from "./room-news.ts";
import type { LocalMembers, RoomHooks, RoomNodes, RoomObserver } from "./room-ports.ts";
import { RoomSpeech } from "./room-speech.ts";
import type { RoomSelf, RoomStore } from "./room-store.ts";
import { RoomWatches } from "./room-watches.ts";
import { Rooms } from "./rooms.ts";

export interface RoomNodeParts {
  readonly store: RoomStore;
  readonly members: LocalMembers;
  readonly nodes: RoomNodes;
  readonly hooks: RoomHooks;
  /** Undefined until this node knows its Redis. */
  readonly self: () => RoomSelf | undefined;
  readonly clock: Clock;
  /** How long members outlive their node. Unit: ms. */
  readonly leaseMs: number;
  /** How often a watched room is looked at without having been told to. Unit: ms. */
  readonly watchPeriodMs: number;
  readonly observer: RoomObserver;
  /** Told why a room could not be renewed or looked at; that is tried again. */
  readonly failed: (room: string, cause: unknown) => void;
}

/** All that one node does for rooms. */
export interface RoomNode {
  readonly rooms: Rooms;
  readonly members: RoomMembers;
  readonly speech: RoomSpeech;
  readonly delivery: RoomDelivery;
  readonly news: RoomNews;
  readonly watches: RoomWatches;
  readonly local: LocalRooms;
  readonly leases: RoomLeases;
}

/** Puts it together. Nothing runs before `leases.start()` and `watches.start()`. */
export function createRoomNode(parts: RoomNodeParts): RoomNode {
  const local = new LocalRooms();
  const hooks = new HookGate(parts.hooks);
  const departure = new RoomDeparture(local, parts.members);
  const watches = new RoomWatches({ ...parts, periodMs: parts.watchPeriodMs });
  const news = new RoomNews({ ...parts, changed: (room) => watches.changed(room) });
  const delivery = new RoomDelivery({ ...parts, rooms: local, hooks, departure });
  const shared = { ...parts, rooms: local, hooks, departure, news };
  const speech = new RoomSpeech({ ...shared, delivery });
  return {
    rooms: new Rooms({ ...parts, speech, news }),
    members: new RoomMembers(shared),
    speech,
    delivery,
    news,
    watches,
    local,
    leases: new RoomLeases(shared),
  };
}
