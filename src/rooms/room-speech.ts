import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { isEmptyPayload } from "./empty-payload.ts";
import type { HookGate } from "./hook-gate.ts";
import type { LocalRooms } from "./local-rooms.ts";
import { deliverRequest, deliverResponse, type RoomMessage, roomMessage } from "./room-codec.ts";
import type { Letter, RoomDelivery } from "./room-delivery.ts";
import { deletionOf } from "./room-departure.ts";
import { checkRoom, messageRequired, notInRoom, unknownRoom } from "./room-faults.ts";
import type { LocalMembers, RoomNodes, RoomObserver } from "./room-ports.ts";
import type { Audience, Destroyed, RoomHolder, RoomSelf, RoomStore } from "./room-store.ts";
import { SERVER, turnOf, USER_CONTEXT } from "./sender.ts";
import { Turns } from "./turns.ts";

export interface RoomSpeechParts {
  readonly store: RoomStore;
  readonly rooms: LocalRooms;
  readonly members: LocalMembers;
  readonly nodes: RoomNodes;
  readonly hooks: HookGate;
  readonly delivery: RoomDelivery;
  readonly self: () => RoomSelf | undefined;
  readonly observer: RoomObserver;
}

/** How far a message went. */
export interface Reached {
  /** Nodes with members that took it. */
  readonly nodes: number;
  /** Members it was queued for. */
  readonly receivers: number;
}

/**
 * Takes what is said in a room to its members, each at most once: nothing is sent again. What one sender says arrives in that order, since it leaves each node in the order in which it
 * came there; what it waits for before that (Redis, hooks) goes on at the same time.
 */
export class RoomSpeech {
  readonly #parts: RoomSpeechParts;
  readonly #turns = new Turns();

  constructor(parts: RoomSpeechParts) {
    this.#parts = parts;
  }

  /**
   * Says an encoded payload in a room. `from`: a connection that is in the room, on any node; "0" or empty: a server, which need not be. Rejects with INVALID_ARGUMENT, UNKNOWN_ROOM,
   * NOT_IN_ROOM, REFUSED_BY_HOOK or UNAVAILABLE.
   */
  async say(from: string, room: string, message: Uint8Array | undefined, context: CallContext): Promise<Reached> {
    if (room === "" || message === undefined || isEmptyPayload(message)) throw messageRequired();
    checkRoom(room);
    const sender = from === "" ? SERVER : from;
    const said = { room, from: sender, message, context: USER_CONTEXT, sentAtMs: Date.now() };
    const key = turnOf(sender, room);
    const { reached } = await this.#turns.take(key, this.#prepare(said, context), (letter) => {
      if (context.signal.aborted) throw new Fault("CANCELLED", "the call was given up before its turn came");
      this.#parts.observer.said();
      return { reached: this.#send(letter, context) };
    });
    return reached;
  }

  /** Tells the members of a room that it is destroyed. */
  async sayDestroyed(room: string, { incarnation, holders }: Destroyed, context: CallContext): Promise<void> {
    await this.#send({ message: deletionOf(room), incarnation, revision: 0, destroyed: true, holders }, context);
  }

  /** Whether it may be said, to whom, and what becomes of it. */
  async #prepare(said: RoomMessage, context: CallContext): Promise<Addressed> {
    const { hooks, members, store } = this.#parts;
    const { room, from } = said;
    const audience = await this.#audience(from, room);
    if (!hooks.isProvided("room.onSayReceive")) return { ...audience, message: said, destroyed: false };
    const message = await hooks.change("room.onSayReceive", members.describe(from) ?? { id: from }, said, context);
    // Who has come while the hook was asked hears it, too.
    return { ...((await store.audience(room, undefined)) ?? audience), message, destroyed: false };
  }

  async #audience(from: string, room: string): Promise<Audience> {
    const { store, rooms, members } = this.#parts;
    // What is here now counts for those who are here, and Redis for the others.
    const isHere = members.held(from) !== undefined;
    const isMemberHere = rooms.isMember(room, from);
    const audience = await store.audience(room, from === SERVER || isHere ? undefined : from);
    if (!audience) throw unknownRoom();
    if (from !== SERVER && !(isHere ? isMemberHere : audience.isMember)) throw notInRoom(room);
    return audience;
  }

  /** Everything leaves before this returns. */
  async #send({ holders, ...letter }: Addressed, context: CallContext): Promise<Reached> {
    const { nodes, self } = this.#parts;
    const own = self();
    const isHere = holders.some(({ runId }) => runId === own?.runId);
    // A node that was started anew may be among them twice, as long as its former lease lasts.
    const elsewhere = new Set(holders.filter(({ runId }) => runId !== own?.runId).map(({ nodeId }) => nodeId));
    const body = deliverRequest.encode({ ...letter, message: roomMessage.encode(letter.message) });
    const sent = [...elsewhere].map((nodeId) =>
      nodes
        .peer(nodeId)
        ?.request("deliver", body, context)
        .then((answer) => deliverResponse.decode(answer).receivers)
        // Whether it arrived or not: it is not sent again.
        .catch(() => 0),
    );
    const here = isHere ? this.#parts.delivery.deliver(letter, context) : 0;
    const receivers = (await Promise.all([here, ...sent])).filter((count) => count !== undefined && count > 0);
    return { nodes: receivers.length, receivers: receivers.reduce((sum: number, count) => sum + (count ?? 0), 0) };
  }
}

/** A message and who holds members to be told. */
interface Addressed extends Letter {
  readonly holders: readonly RoomHolder[];
}
