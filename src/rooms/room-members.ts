import type { CallContext } from "../base/call-context.ts";
import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import type { HookGate } from "./hook-gate.ts";
import type { LocalRooms } from "./local-rooms.ts";
import type { RoomDeparture } from "./room-departure.ts";
import { alreadyInRoom, checkRoom, notInRoom, unknownRoom } from "./room-faults.ts";
import type { RoomNews } from "./room-news.ts";
import type { LocalMembers } from "./room-ports.ts";
import type { Joined, RoomSelf, RoomStore } from "./room-store.ts";

/** Rooms that one connection may be in. */
export const MAX_ROOMS_OF_CONNECTION = 256;

/** Until it is tried again to enter a room that could not be reached. Unit: ms. */
const ADOPT_RETRY_MS = 500;

export interface RoomMembersParts {
  readonly store: RoomStore;
  readonly rooms: LocalRooms;
  readonly members: LocalMembers;
  readonly hooks: HookGate;
  readonly departure: RoomDeparture;
  readonly news: RoomNews;
  readonly clock: Clock;
  /** Undefined until this node knows its Redis. */
  readonly self: () => RoomSelf | undefined;
}

/**
 * Joins and leaves for the connections that are held here, and for no others; who calls it does so for each connection one after the other. What is here and what Redis keeps may differ
 * where Redis did not answer: the next renewal (RoomLeases) makes them the same, and what is here counts.
 */
export class RoomMembers {
  readonly #parts: RoomMembersParts;
  /** Rooms that adopted connections are in and have not entered yet, by connection id. */
  readonly #unentered = new Map<string, Set<string>>();

  constructor(parts: RoomMembersParts) {
    this.#parts = parts;
  }

  /** Rejects with INVALID_ARGUMENT, UNKNOWN_ROOM, ALREADY_IN_ROOM, REFUSED_BY_HOOK, RESOURCE_EXHAUSTED, UNAVAILABLE or INDETERMINATE. */
  async join(connectionId: string, room: string, context: CallContext): Promise<void> {
    const { rooms, hooks, store } = this.#parts;
    checkRoom(room);
    if (rooms.isMember(room, connectionId)) throw alreadyInRoom(room);
    if (rooms.roomsOf(connectionId).length >= MAX_ROOMS_OF_CONNECTION) {
      throw new Fault("RESOURCE_EXHAUSTED", `a connection may be in ${MAX_ROOMS_OF_CONNECTION} rooms at most`);
    }
    if (hooks.isProvided("room.join")) {
      if (!(await store.exists(room))) throw unknownRoom();
      await this.#permit("room.join", connectionId, room, context);
    }
    // Where Redis has it as a member, an earlier attempt was not answered: it is one from now on.
    if (!(await this.#enter(connectionId, room))) throw unknownRoom();
  }

  /** Rejects with INVALID_ARGUMENT, UNKNOWN_ROOM, NOT_IN_ROOM, REFUSED_BY_HOOK, UNAVAILABLE or INDETERMINATE. */
  async leave(connectionId: string, room: string, context: CallContext): Promise<void> {
    const { rooms, store, members, news } = this.#parts;
    checkRoom(room);
    const held = members.held(connectionId);
    const isMember = rooms.isMember(room, connectionId) || (this.#unentered.get(connectionId)?.has(room) ?? false);
    if (isMember) await this.#permit("room.leave", connectionId, room, context);
    const left = await rooms.decide(room, connectionId, async () => {
      const outcome = await store.leave(room, connectionId);
      // Where it has come back meanwhile, it is as it came.
      if (members.held(connectionId) !== held) return outcome;
      rooms.remove(room, connectionId);
      this.#entered(connectionId, room);
      return outcome;
    });
    if (!left) {
      members.removed(connectionId, room);
      throw unknownRoom();
    }
    if (left.wasMember) news.spread(room, left.watchers);
    else if (!isMember) throw notInRoom(room);
  }

  /**
   * The connection is gone: it leaves every room, `names` among them, and hooks are told, who cannot refuse it. Never rejects: where Redis is away, the membership goes with the next
   * renewal or with the lease.
   */
  async leaveAll(connectionId: string, names: readonly string[], context: CallContext): Promise<void> {
    const { rooms, store, hooks, members, news } = this.#parts;
    const left = new Set([...rooms.roomsOf(connectionId), ...names]);
    const described = members.describe(connectionId) ?? { id: connectionId };
    this.#unentered.delete(connectionId);
    // What is said from now on is not for it.
    for (const room of left) rooms.remove(room, connectionId);
    await Promise.all(
      [...left].map(async (room) => {
        hooks.permit("room.leave", described, room, context).catch(() => undefined);
        const { watchers = [] } = (await store.leave(room, connectionId).catch(() => undefined)) ?? {};
        news.spread(room, watchers);
      }),
    );
  }

  /**
   * The connection is held here now. It is told of those of the rooms that are gone, as it would have been where it was. Never rejects: it enters a room that cannot be reached now once it
   * can.
   */
  async adopt(connectionId: string, names: readonly string[]): Promise<void> {
    const held = this.#parts.members.held(connectionId);
    const outcomes = await Promise.all(names.map((room) => this.#adoptInto(connectionId, room)));
    const unentered = names.filter((_, i) => outcomes[i] === "unreachable");
    if (unentered.length === 0 || !held || this.#parts.members.held(connectionId) !== held) return;
    this.#unentered.set(connectionId, new Set(unentered));
    this.#adoptLater(connectionId);
  }

  /** The connection is held elsewhere now. It may come back, and not be in these rooms any more: what is kept here would bring it into them again. */
  forget(connectionId: string): void {
    const { rooms } = this.#parts;
    this.#unentered.delete(connectionId);
    for (const room of rooms.roomsOf(connectionId)) rooms.remove(room, connectionId);
  }

  /** Rejects as HookGate does, and with UNKNOWN_CONNECTION where the connection is elsewhere once the hook has answered: what it does there is not to be undone. */
  async #permit(
    hook: "room.join" | "room.leave",
    connectionId: string,
    room: string,
    context: CallContext,
  ): Promise<void> {
    const { hooks, members } = this.#parts;
    const held = members.held(connectionId);
    await hooks.permit(hook, members.describe(connectionId) ?? { id: connectionId }, room, context);
    if (members.held(connectionId) === held) return;
    throw new Fault("UNKNOWN_CONNECTION", `connection ${connectionId} is not held here any more`);
  }

  async #adoptInto(connectionId: string, room: string): Promise<"entered" | "gone" | "unreachable"> {
    try {
      if (await this.#enter(connectionId, room)) return "entered";
    } catch {
      return "unreachable";
    }
    this.#parts.departure.tell(room, [connectionId]);
    return "gone";
  }

  /** In its turn, so that it does not enter a room behind its leaving that. */
  #adoptLater(connectionId: string): void {
    const { clock, members } = this.#parts;
    const unentered = this.#unentered.get(connectionId);
    if (!unentered) return;
    const adopt = async (): Promise<void> => {
      // It may have left them all meanwhile, or have come back from elsewhere.
      if (this.#unentered.get(connectionId) !== unentered) return;
      this.#unentered.delete(connectionId);
      await this.adopt(connectionId, [...unentered]);
    };
    clock.after(ADOPT_RETRY_MS, () => {
      // Where too much waits for its turn, later.
      members.inTurn(connectionId, adopt).catch(() => this.#adoptLater(connectionId));
    });
  }

  /** Nothing is left to be done for it to be in the room. */
  #entered(connectionId: string, room: string): void {
    const unentered = this.#unentered.get(connectionId);
    unentered?.delete(room);
    if (unentered?.size === 0) this.#unentered.delete(connectionId);
  }

  #enter(connectionId: string, room: string): Promise<Joined | undefined> {
    return this.#parts.rooms.decide(room, connectionId, () => this.#enterNow(connectionId, room));
  }

  async #enterNow(connectionId: string, room: string): Promise<Joined | undefined> {
    const { store, rooms, members, departure, news } = this.#parts;
    const self = this.#parts.self();
    if (!self) throw new Fault("UNAVAILABLE", "this coordinator has not reached its Redis yet");
    const held = members.held(connectionId);
    const joined = await store.join(room, connectionId, self);
    if (!joined) return undefined;
    const { outcome, incarnation, revision, joinedAtMs, watchers } = joined;
    if (outcome === "full")
      throw new Fault("RESOURCE_EXHAUSTED", `room ${room} has as many members as a room may have`);
    // Its former self was destroyed, and this node has not heard of it.
    const here = rooms.get(room);
    if (here && here.incarnation !== incarnation) departure.end(room, here.incarnation);
    if (held && members.held(connectionId) === held) {
      rooms.add(room, incarnation, connectionId, { joinedAtMs, sinceRevision: revision });
      this.#entered(connectionId, room);
    }
    // It has ended meanwhile, and left its rooms already; or it is elsewhere, and a member there if it is to be one.
    else await store.leave(room, connectionId, self).catch(() => undefined);
    news.spread(room, watchers);
    return joined;
  }
}
