import { Buffer } from "node:buffer";
import fc from "fast-check";
import { encodePayload } from "../../../src/base/payload.ts";
import {
  broadcastRequest,
  broadcastResponse,
  countResponse,
  deliverRequest,
  deliverResponse,
  listRoomsResponse,
  memberRequest,
  roomDelivery,
  roomMember,
  roomMessage,
  roomRequest,
  roomStatusResponse,
  sharedHooks,
  watchRoomResponse,
} from "../../../src/rooms/room-codec.ts";
import { agreesWith, foreignProto } from "../../support/agrees.ts";

const proto = foreignProto("room", "peer", "session");
const agrees = agreesWith(proto);

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const uint = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat());
const count = fc.nat();
const payload = fc.oneof(text, fc.uint8Array({ maxLength: 20 })).map((each) => encodePayload(each));
const message = fc
  .record({ room: text, from: text, message: payload, context: text, sentAtMs: uint })
  .map((each) => roomMessage.encode(each));
const member = fc.record({ id: text, joinedAtMs: uint, node: text });
const status = fc.record({
  room: text,
  membersCount: count,
  members: fc
    .dictionary(text, member)
    .map((each) => new Map(Object.entries(each).map(([id, one]) => [id, roomMember.encode(one)] as const))),
});

agrees(
  "RoomMessage",
  roomMessage,
  fc.record({ room: text, from: text, message: payload, context: text, sentAtMs: uint }),
);
agrees("Delivery", roomDelivery, fc.record({ roomMessage: message }));
agrees(
  "DeliverRoomMessageRequest",
  deliverRequest,
  fc.record({ message, incarnation: text, revision: uint, destroyed: fc.boolean() }),
);
agrees("DeliverRoomMessageResponse", deliverResponse, fc.record({ receivers: count }));
agrees("ListRoomsResponse", listRoomsResponse, fc.record({ rooms: fc.array(text) }));
agrees("RoomMember", roomMember, member);
agrees("RoomStatusResponse", roomStatusResponse, status);
agrees("BroadcastRequest", broadcastRequest, fc.record({ from: text, room: text, message: payload }));
agrees("BroadcastResponse", broadcastResponse, fc.record({ nodes: count, receivers: count }));
for (const type of [
  "AddRoomRequest",
  "DestroyRoomRequest",
  "RoomExistsRequest",
  "RoomStatusRequest",
  "WatchRoomRequest",
  "NudgeRoomRequest",
]) {
  agrees(type, roomRequest, fc.record({ room: text }));
}
for (const type of ["AddRoomResponse", "DestroyRoomResponse"]) agrees(type, countResponse, fc.record({ count }));
agrees("RoomExistsResponse", countResponse, fc.record({ count: fc.nat({ max: 1 }) }));
for (const type of ["AddMemberRequest", "RemoveMemberRequest"]) {
  agrees(type, memberRequest, fc.record({ connectionId: text, room: text }));
}
agrees("ShareRoomHooksRequest", sharedHooks, fc.record({ hooks: fc.array(text), nodeId: text }));
agrees("ShareRoomHooksResponse", sharedHooks, fc.record({ hooks: fc.array(text), nodeId: fc.constant("") }));

const NO_EVENT = { status: undefined, joined: undefined, left: undefined, destroyed: undefined };
agrees(
  "WatchRoomResponse",
  watchRoomResponse,
  fc.oneof(
    status.map((each) => ({ ...NO_EVENT, status: each })),
    member.map((each) => ({ ...NO_EVENT, joined: each })),
    text.map((each) => ({ ...NO_EVENT, left: each })),
    fc.constant({ ...NO_EVENT, destroyed: Buffer.alloc(0) }),
  ),
);
