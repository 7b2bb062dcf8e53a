import type { Clock } from "../../src/base/clock.ts";
import { memberDigest } from "../../src/rooms/member-digest.ts";
import type {
  Audience,
  Destroyed,
  HeldMembers,
  Joined,
  Left,
  RoomSelf,
  RoomSnapshot,
  RoomStore,
} from "../../src/rooms/room-store.ts";

interface Member {
  readonly joinedAtMs: number;
  readonly node: string;
  readonly runId: string;
}

interface Lease {
  readonly nodeId: string;
  readonly untilMs: number;
}

interface Room {
  readonly incarnation: string;
  revision: number;
  readonly members: Map<string, Member>;
  readonly holders: Map<string, Lease>;
  readonly watchers: Map<string, Lease>;
}

/** Rooms as Redis keeps them, in memory. */
export class MemoryRoomStore implements RoomStore {
  readonly rooms = new Map<string, Room>();
  readonly #clock: Clock;
  readonly #leaseMs: number;
  #incarnations = 0;

  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  async add(room: string): Promise<"added" | "exists" | "full"> {
    if (this.rooms.has(room)) return "exists";
    const incarnation = String(++this.#incarnations);
    this.rooms.set(room, { incarnation, revision: 0, members: new Map(), holders: new Map(), watchers: new Map() });
    return "added";
  }

  async list(): Promise<readonly string[]> {
    return [...this.rooms.keys()];
  }

  async exists(room: string): Promise<boolean> {
    return this.rooms.has(room);
  }

  async destroy(room: string): Promise<Destroyed | undefined> {
    const found = this.#room(room);
    if (!found) return undefined;
    this.rooms.delete(room);
    return {
      incarnation: found.incarnation,
      members: found.members.size,
      holders: holdersOf(found),
      watchers: watchersOf(found),
    };
  }

  async status(room: string): Promise<RoomSnapshot | undefined> {
    const found = this.#room(room);
    if (!found) return undefined;
    const members = new Map(
      [...found.members].map(([id, { joinedAtMs, node }]) => [id, { joinedAtMs, node }] as const),
    );
    return { incarnation: found.incarnation, count: members.size, members };
  }

  async watch(room: string, self: RoomSelf): Promise<RoomSnapshot | undefined> {
    this.#room(room)?.watchers.set(self.runId, this.#lease(self));
    return this.status(room);
  }

  async join(room: string, connectionId: string, self: RoomSelf): Promise<Joined | undefined> {
    const found = this.#room(room);
    if (!found) return undefined;
    const before = found.members.get(connectionId);
    if (before?.runId !== self.runId) found.revision++;
    const joinedAtMs = before?.joinedAtMs ?? this.#clock.now();
    found.members.set(connectionId, { joinedAtMs, node: self.name, runId: self.runId });
    found.holders.set(self.runId, this.#lease(self));
    const outcome = before ? "already" : "joined";
    return {
      outcome,
      incarnation: found.incarnation,
      revision: found.revision,
      joinedAtMs,
      watchers: watchersOf(found),
    };
  }

  async leave(room: string, connectionId: string, only?: RoomSelf): Promise<Left | undefined> {
    const found = this.#room(room);
    if (!found) return undefined;
    const member = found.members.get(connectionId);
    if (!member || (only && member.runId !== only.runId)) return { wasMember: false, watchers: [] };
    found.members.delete(connectionId);
    return { wasMember: true, watchers: watchersOf(found) };
  }

  async audience(room: string, from: string | undefined): Promise<Audience | undefined> {
    const found = this.#room(room);
    if (!found) return undefined;
    const { incarnation, revision, members } = found;
    return { incarnation, revision, isMember: from === undefined || members.has(from), holders: holdersOf(found) };
  }

  async renew(
    room: string,
    incarnation: string,
    self: RoomSelf,
    digest: number,
  ): Promise<"renewed" | "differs" | "gone"> {
    const found = this.#room(room);
    if (found?.incarnation !== incarnation) return "gone";
    const held = [...found.members].filter(([, { runId }]) => runId === self.runId).map(([id]) => id);
    if (held.length > 0) found.holders.set(self.runId, this.#lease(self));
    return held.length > 0 && held.reduce(memberDigest, 0) === digest ? "renewed" : "differs";
  }

  async restore(
    room: string,
    incarnation: string,
    self: RoomSelf,
    { members, undecided }: HeldMembers,
  ): Promise<readonly string[] | undefined> {
    const found = this.#room(room);
    if (found?.incarnation !== incarnation) return undefined;
    for (const [id, { runId }] of found.members) {
      if (runId === self.runId && !members.has(id) && !undecided.has(id)) found.members.delete(id);
    }
    for (const [id, { joinedAtMs, sinceRevision }] of members) {
      found.revision = Math.max(found.revision, sinceRevision);
      if (!found.members.has(id) && !undecided.has(id)) {
        found.members.set(id, { joinedAtMs, node: self.name, runId: self.runId });
      }
    }
    found.holders.set(self.runId, this.#lease(self));
    return watchersOf(found);
  }

  #lease({ nodeId }: RoomSelf): Lease {
    return { nodeId, untilMs: this.#clock.now() + this.#leaseMs };
  }

  #room(name: string): Room | undefined {
    const room = this.rooms.get(name);
    if (!room) return undefined;
    for (const leases of [room.holders, room.watchers]) {
      for (const [runId, { untilMs }] of leases) if (untilMs <= this.#clock.now()) leases.delete(runId);
    }
    for (const [id, { runId }] of room.members) if (!room.holders.has(runId)) room.members.delete(id);
    const held = new Set([...room.members.values()].map(({ runId }) => runId));
    for (const runId of room.holders.keys()) if (!held.has(runId)) room.holders.delete(runId);
    return room;
  }
}

function holdersOf({ holders }: Room) {
  return [...holders].map(([runId, { nodeId }]) => ({ runId, nodeId }));
}

function watchersOf({ watchers }: Room): string[] {
  return [...watchers.values()].map(({ nodeId }) => nodeId);
}
