import {
  dictionary,
  encoded,
  flag,
  type MessageOf,
  message,
  nested,
  optionalText,
  text,
  texts,
  uint,
} from "../base/message.ts";

/** `gearmesh.v1.RoomMessage`. */
export const roomMessage = message({
  room: text(1),
  from: text(2),
  message: encoded(3),
  context: text(4),
  sentAtMs: uint(5),
});
export type RoomMessage = MessageOf<typeof roomMessage>;

/** `gearmesh.v1.Delivery` of an encoded RoomMessage, without the sequence, which is each receiver's own. */
export const roomDelivery = message({ roomMessage: encoded(3) });

/** `gearmesh.v1.DeliverRoomMessageRequest`. */
export const deliverRequest = message({
  message: encoded(1),
  incarnation: text(2),
  revision: uint(3),
  destroyed: flag(4),
});

/** `gearmesh.v1.DeliverRoomMessageResponse`. */
export const deliverResponse = message({ receivers: uint(1) });

/** Requests that name a room and nothing else: of RoomService, and `gearmesh.v1.NudgeRoomRequest`. */
export const roomRequest = message({ room: text(1) });

/** Rooms, and members of one room, that an answer may name: more than a store keeps, which is 100,000 of either. */
const MAX_NAMED = 131_072;

/** `gearmesh.v1.ListRoomsResponse`. */
export const listRoomsResponse = message({ rooms: texts(1, MAX_NAMED) });

/** Of AddRoom, DestroyRoom and RoomExists: the one number that each answers with. */
export const countResponse = message({ count: uint(1) });

/** `gearmesh.v1.RoomMember`. */
export const roomMember = message({ id: text(1), joinedAtMs: uint(2), node: text(3) });
export type RoomMember = MessageOf<typeof roomMember>;

/** `gearmesh.v1.RoomStatusResponse`: its members are encoded. */
export const roomStatusResponse = message({ room: text(1), membersCount: uint(2), members: dictionary(3, MAX_NAMED) });

/** `gearmesh.v1.AddMemberRequest`, and RemoveMemberRequest. */
export const memberRequest = message({ connectionId: text(1), room: text(2) });

/** `gearmesh.v1.BroadcastRequest`. */
export const broadcastRequest = message({ from: text(1), room: text(2), message: encoded(3) });

/** `gearmesh.v1.BroadcastResponse`. */
export const broadcastResponse = message({ nodes: uint(1), receivers: uint(2) });

/** `gearmesh.v1.WatchRoomResponse`: exactly one field is set. */
export const watchRoomResponse = message({
  status: nested(1, roomStatusResponse),
  joined: nested(2, roomMember),
  left: optionalText(3),
  destroyed: encoded(4),
});

/** `gearmesh.v1.ShareRoomHooksRequest`, and its response, which leaves out the node id. */
export const sharedHooks = message({ hooks: texts(1), nodeId: text(2) });
