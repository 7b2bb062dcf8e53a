import { payloadOf } from "../base/json-payload.ts";
import type { LocalRooms } from "./local-rooms.ts";
import { roomDelivery, roomMessage } from "./room-codec.ts";
import { DELETED } from "./room-faults.ts";
import type { LocalMembers } from "./room-ports.ts";
import { SERVER, USER_CONTEXT } from "./sender.ts";

/** Ends a room here: its members are told, and are in it no longer. */
export class RoomDeparture {
  readonly #rooms: LocalRooms;
  readonly #members: LocalMembers;

  constructor(rooms: LocalRooms, members: LocalMembers) {
    this.#rooms = rooms;
    this.#members = members;
  }

  /** The room of this incarnation is destroyed. How many members were told. */
  end(room: string, incarnation: string): number {
    const local = this.#rooms.get(room);
    if (local?.incarnation !== incarnation) return 0;
    const told = [...local.members.keys()];
    for (const connectionId of told) this.#rooms.remove(room, connectionId);
    return this.tell(room, told);
  }

  /** The connections were members of a room that is destroyed. How many are held here. */
  tell(room: string, connectionIds: readonly string[]): number {
    const content = roomDelivery.encode({ roomMessage: roomMessage.encode(deletionOf(room)) });
    let receivers = 0;
    for (const connectionId of connectionIds) {
      if (!this.#members.deliver(connectionId, content)) continue;
      this.#members.removed(connectionId, room);
      receivers++;
    }
    return receivers;
  }
}

/** What members of a destroyed room are told. */
export function deletionOf(room: string) {
  return { room, from: SERVER, message: payloadOf(DELETED), context: USER_CONTEXT, sentAtMs: Date.now() };
}
