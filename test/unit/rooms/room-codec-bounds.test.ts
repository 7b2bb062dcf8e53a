import test from "ava";
import { listRoomsResponse, roomStatusResponse } from "../../../src/rooms/room-codec.ts";

test("answers name as many rooms and members as a store keeps", (t) => {
  const names = Array.from({ length: 100_000 }, (_, index) => String(index));
  t.is(listRoomsResponse.decode(listRoomsResponse.encode({ rooms: names })).rooms.length, names.length);
  const members = new Map(names.map((name) => [name, new Uint8Array()]));
  const status = roomStatusResponse.encode({ room: "r", membersCount: names.length, members });
  t.is(roomStatusResponse.decode(status).members.size, names.length);
});
