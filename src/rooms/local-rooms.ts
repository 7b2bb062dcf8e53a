import { memberDigest } from "./member-digest.ts";
import type { HeldMember } from "./room-store.ts";

/** A room as far as it is here. */
export interface LocalRoom {
  readonly incarnation: string;
  /** Those members that are held here, by connection id. */
  readonly members: ReadonlyMap<string, HeldMember>;
  /** See `memberDigest`. */
  readonly digest: number;
}

interface Room extends LocalRoom {
  readonly members: Map<string, HeldMember>;
  digest: number;
}

/** Which connections of this node are in which rooms. A room is here while it has members here. */
export class LocalRooms {
  readonly #rooms = new Map<string, Room>();
  /** By connection id, in the order of joining. */
  readonly #ofConnection = new Map<string, Set<string>>();
  /** Connections that are joining or leaving, by room. */
  readonly #undecided = new Map<string, Set<string>>();
  #members = 0;

  /** Rooms with members here. */
  get size(): number {
    return this.#rooms.size;
  }

  /** Members here, over all rooms. */
  get members(): number {
    return this.#members;
  }

  get(room: string): LocalRoom | undefined {
    return this.#rooms.get(room);
  }

  names(): readonly string[] {
    return [...this.#rooms.keys()];
  }

  isMember(room: string, connectionId: string): boolean {
    return this.#rooms.get(room)?.members.has(connectionId) ?? false;
  }

  /** The rooms of a connection, in the order of joining. */
  roomsOf(connectionId: string): readonly string[] {
    return [...(this.#ofConnection.get(connectionId) ?? [])];
  }

  /** Connections that are joining or leaving the room now. */
  undecided(room: string): ReadonlySet<string> {
    return this.#undecided.get(room) ?? new Set();
  }

  /** Does something that decides whether a connection is a member; until it is over, that is undecided. */
  async decide<T>(room: string, connectionId: string, action: () => Promise<T>): Promise<T> {
    const undecided = this.#undecided.get(room) ?? new Set();
    this.#undecided.set(room, undecided.add(connectionId));
    try {
      return await action();
    } finally {
      undecided.delete(connectionId);
      if (undecided.size === 0 && this.#undecided.get(room) === undecided) this.#undecided.delete(room);
    }
  }

  /** Of a room that is here, the incarnation must be the one that is. */
  add(room: string, incarnation: string, connectionId: string, member: HeldMember): void {
    const local = this.#rooms.get(room) ?? { incarnation, members: new Map<string, HeldMember>(), digest: 0 };
    this.#rooms.set(room, local);
    const isNew = !local.members.has(connectionId);
    local.members.set(connectionId, member);
    if (!isNew) return;
    local.digest = memberDigest(local.digest, connectionId);
    this.#members++;
    const rooms = this.#ofConnection.get(connectionId);
    if (rooms) rooms.add(room);
    else this.#ofConnection.set(connectionId, new Set([room]));
  }

  /** Idempotent. */
  remove(room: string, connectionId: string): void {
    const local = this.#rooms.get(room);
    if (!local?.members.delete(connectionId)) return;
    local.digest = memberDigest(local.digest, connectionId);
    this.#members--;
    if (local.members.size === 0) this.#rooms.delete(room);
    const rooms = this.#ofConnection.get(connectionId);
    rooms?.delete(room);
    if (rooms?.size === 0) this.#ofConnection.delete(connectionId);
  }
}
