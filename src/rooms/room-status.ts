import type { JsonValue } from "../base/json-payload.ts";
import type { MessageOf } from "../base/message.ts";
import { roomMember, type roomStatusResponse } from "./room-codec.ts";
import type { RoomSnapshot } from "./room-store.ts";

/** A room as RoomService tells it. */
export function statusOf(room: string, { count, members }: RoomSnapshot): MessageOf<typeof roomStatusResponse> {
  const encoded = [...members].map(([id, member]) => [id, roomMember.encode({ id, ...member })] as const);
  return { room, membersCount: count, members: new Map(encoded) };
}

/** A room as the verb roomView tells it: what the original calls its status. */
export function viewOf(room: string, { count, members }: RoomSnapshot): JsonValue {
  const shown = [...members].map(([id, { joinedAtMs, node }]) => [id, { id, joinedAt: joinedAtMs, node }] as const);
  return { room, membersCount: count, members: Object.fromEntries(shown) };
}
