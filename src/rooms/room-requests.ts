import type { CallContext } from "../base/call-context.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { checkPayload } from "../base/json-payload.ts";
import {
  broadcastRequest,
  broadcastResponse,
  countResponse,
  listRoomsResponse,
  memberRequest,
  roomRequest,
  roomStatusResponse,
} from "./room-codec.ts";
import { checkRoom } from "./room-faults.ts";
import type { RoomSpeech } from "./room-speech.ts";
import { statusOf } from "./room-status.ts";
import type { Rooms } from "./rooms.ts";

/** Takes an encoded request and resolves with the encoded response. Rejects with a Fault. */
export type RoomHandler = (body: Uint8Array, context: CallContext) => Promise<Uint8Array>;

export interface RoomRequestsParts {
  readonly rooms: Rooms;
  readonly speech: RoomSpeech;
  /** Brings a connection into a room, or out of it, at the node that holds it. Rejects with UNKNOWN_CONNECTION, and as RoomMembers does there. */
  readonly atHolder: (
    what: "join" | "leave",
    connectionId: string,
    room: string,
    context: CallContext,
  ) => Promise<void>;
}

/** A unary method of RoomService. */
export type RoomMethod = keyof ReturnType<typeof roomRequests>;

/** Those methods. */
export function roomRequests({ rooms, speech, atHolder }: RoomRequestsParts) {
  const nameIn = (body: Uint8Array): string => decodeRequest(roomRequest.decode, body).room;
  const move =
    (what: "join" | "leave"): RoomHandler =>
    async (body, context) => {
      const { connectionId, room } = decodeRequest(memberRequest.decode, body);
      checkRoom(room);
      await atHolder(what, connectionId, room, context);
      return new Uint8Array();
    };
  return {
    ListRooms: async () => listRoomsResponse.encode({ rooms: [...(await rooms.list())] }),
    AddRoom: async (body) => {
      await rooms.add(nameIn(body));
      return countResponse.encode({ count: 1 });
    },
    DestroyRoom: async (body, context) => countResponse.encode({ count: await rooms.destroy(nameIn(body), context) }),
    RoomExists: async (body) => countResponse.encode({ count: Number(await rooms.exists(nameIn(body))) }),
    RoomStatus: async (body) => {
      const room = nameIn(body);
      return roomStatusResponse.encode(statusOf(room, await rooms.status(room)));
    },
    AddMember: move("join"),
    RemoveMember: move("leave"),
    Broadcast: async (body, context) => {
      const { from, room, message } = decodeRequest(broadcastRequest.decode, body);
      if (message !== undefined) checkPayload(message);
      return broadcastResponse.encode(await speech.say(from, room, message, context));
    },
  } satisfies Record<string, RoomHandler>;
}
