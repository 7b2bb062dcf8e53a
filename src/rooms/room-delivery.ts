import type { CallContext } from "../base/call-context.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import type { HookGate } from "./hook-gate.ts";
import type { LocalRooms } from "./local-rooms.ts";
import { deliverRequest, deliverResponse, type RoomMessage, roomDelivery, roomMessage } from "./room-codec.ts";
import type { RoomDeparture } from "./room-departure.ts";
import type { LocalMembers, RoomObserver } from "./room-ports.ts";
import { turnOf } from "./sender.ts";
import { Turns } from "./turns.ts";

/** A message on its way to the members of a room. */
export interface Letter {
  readonly message: RoomMessage;
  readonly incarnation: string;
  /** Of the room when its members were looked up. */
  readonly revision: number;
  /** Whether it is the last one, since the room is gone. */
  readonly destroyed: boolean;
}

export interface RoomDeliveryParts {
  readonly rooms: LocalRooms;
  readonly members: LocalMembers;
  readonly hooks: HookGate;
  readonly departure: RoomDeparture;
  readonly observer: RoomObserver;
}

/** What is for one receiver. */
interface Content {
  readonly id: string;
  /** An encoded Delivery without its sequence. */
  readonly content: Uint8Array;
}

/** Receivers that a hook is asked about at the same time. */
const HOOK_BATCH = 64;

/** The end of the way of what is said: the members that are held here. */
export class RoomDelivery {
  readonly #parts: RoomDeliveryParts;
  readonly #turns = new Turns();

  constructor(parts: RoomDeliveryParts) {
    this.#parts = parts;
  }

  /** What was said at another node: takes an encoded DeliverRoomMessageRequest, resolves with the encoded response. */
  async fromPeer(body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const { message, ...letter } = decodeRequest(deliverRequest.decode, body);
    if (message === undefined) throw new Fault("INVALID_ARGUMENT", "there is no message");
    const decoded = decodeRequest(roomMessage.decode, message);
    return deliverResponse.encode({ receivers: await this.deliver({ ...letter, message: decoded }, context) });
  }

  /** How many members it was queued for. Without a hook they have it before this returns; with one, what a sender said still comes in its order. */
  deliver(letter: Letter, context: CallContext): number | Promise<number> {
    const { departure, hooks } = this.#parts;
    const { message, incarnation, destroyed } = letter;
    const { room, from } = message;
    if (destroyed) return departure.end(room, incarnation);
    const key = turnOf(from, room);
    if (!hooks.isProvided("room.say") && this.#turns.isFree(key)) {
      const content = contentOf(message);
      return this.#queue(
        room,
        this.#receivers(letter).map((id) => ({ id, content })),
      );
    }
    return this.#turns
      .take(key, this.#asked(letter, context), (contents) => ({ receivers: this.#queue(room, contents) }))
      .then(({ receivers }) => receivers);
  }

  /** The members here that were members when they were looked up. One that has come from another node since may have been given the message there. */
  #receivers({ message, incarnation, revision }: Letter): string[] {
    const local = this.#parts.rooms.get(message.room);
    if (local?.incarnation !== incarnation) return [];
    const ids: string[] = [];
    for (const [id, { sinceRevision }] of local.members) if (sinceRevision <= revision) ids.push(id);
    return ids;
  }

  /** What each receiver is to hear, by its hook; those for whom the hook refuses, or cannot be asked, are left out. */
  async #asked(letter: Letter, context: CallContext): Promise<readonly Content[]> {
    const { hooks, members } = this.#parts;
    const ids = this.#receivers(letter);
    const contents: Content[] = [];
    for (let start = 0; start < ids.length; start += HOOK_BATCH) {
      const batch = ids.slice(start, start + HOOK_BATCH).map(async (id) => {
        const receiver = members.describe(id) ?? { id };
        const changed = await hooks.change("room.say", receiver, letter.message, context).catch(() => undefined);
        return changed && { id, content: contentOf(changed) };
      });
      for (const content of await Promise.all(batch)) if (content) contents.push(content);
    }
    return contents;
  }

  #queue(room: string, contents: readonly Content[]): number {
    const { members, rooms, observer } = this.#parts;
    let receivers = 0;
    for (const { id, content } of contents) {
      if (members.deliver(id, content)) receivers++;
      // It is held elsewhere by now.
      else rooms.remove(room, id);
    }
    if (receivers > 0) observer.delivered(receivers);
    return receivers;
  }
}

function contentOf(message: RoomMessage): Uint8Array {
  return roomDelivery.encode({ roomMessage: roomMessage.encode(message) });
}
