import { Buffer } from "node:buffer";
import { Fault } from "../base/fault.ts";

/** Longest name of a room. Unit: bytes of UTF-8. */
export const MAX_ROOM_BYTES = 256;

/** What a member is told when its room is destroyed. */
export const DELETED = "this room has been deleted";

/** Throws INVALID_ARGUMENT for what cannot be the name of a room. */
export function checkRoom(room: string): void {
  if (room === "") throw new Fault("INVALID_ARGUMENT", "a room is required");
  if (Buffer.byteLength(room) > MAX_ROOM_BYTES || !room.isWellFormed()) {
    throw new Fault("INVALID_ARGUMENT", `the name of a room is text of ${MAX_ROOM_BYTES} bytes of UTF-8 at most`);
  }
}

export function unknownRoom(): Fault {
  return new Fault("UNKNOWN_ROOM", "room does not exist");
}

export function roomExists(): Fault {
  return new Fault("ROOM_EXISTS", "room exists");
}

export function messageRequired(): Fault {
  return new Fault("INVALID_ARGUMENT", "both room and message are required");
}

export function alreadyInRoom(room: string): Fault {
  return new Fault("ALREADY_IN_ROOM", `connection already in this room (${room})`);
}

export function notInRoom(room: string): Fault {
  return new Fault("NOT_IN_ROOM", `connection not in this room (${room})`);
}
