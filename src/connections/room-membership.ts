import type { CallContext } from "../base/call-context.ts";
import type { JsonValue } from "../base/json-payload.ts";

/** What connections ask of rooms. Each is asked at the node that holds the connection, one after the other for each connection. */
export interface RoomMembership {
  /** Rejects with UNKNOWN_ROOM, ALREADY_IN_ROOM, REFUSED_BY_HOOK or UNAVAILABLE. */
  join(connectionId: string, room: string, context: CallContext): Promise<void>;
  /** Rejects with UNKNOWN_ROOM, NOT_IN_ROOM, REFUSED_BY_HOOK or UNAVAILABLE. */
  leave(connectionId: string, room: string, context: CallContext): Promise<void>;
  /** The connection is gone. Never rejects. */
  leaveAll(connectionId: string, rooms: readonly string[]): Promise<void>;
  /** The connection is held here now, and was held elsewhere. Those of the rooms that are gone are taken from it. Rejects with UNAVAILABLE. */
  adopt(connectionId: string, rooms: readonly string[]): Promise<void>;
  /** The connection is held elsewhere now, with its rooms; whatever it does there, it comes back as another one. */
  forget(connectionId: string): void;
  /** Who is in the room. Rejects with UNKNOWN_ROOM or UNAVAILABLE. */
  view(room: string, context: CallContext): Promise<JsonValue>;
  /** Says the encoded payload in the room. Rejects with UNKNOWN_ROOM, NOT_IN_ROOM, REFUSED_BY_HOOK or UNAVAILABLE. */
  say(connectionId: string, room: string, message: Uint8Array, context: CallContext): Promise<void>;
}
