import { payloadValue } from "../base/json-payload.ts";
import { Pace } from "../base/pace.ts";
import { delivery } from "../connections/session-codec.ts";
import { roomMessage as roomMessageCodec } from "../rooms/room-codec.ts";
import { callBack } from "./call-back.ts";
import type { RpcValue } from "./rpc.ts";

/** Something that was said in a room. */
export interface RoomMessage {
  readonly room: string;
  /** Id of the connection that said it; "0": a server. */
  readonly from: string;
  readonly message: RpcValue;
  readonly context: string;
  readonly sentAt: Date;
}

/** Who hears what is sent to a connection. */
export interface Listeners {
  readonly onMessage?: (message: RpcValue) => void;
  readonly onRoomMessage?: (message: RoomMessage) => void;
  /** So many messages were dropped, since this client was away or too slow; "unknown" where the coordinator that knew is gone. */
  readonly onMissed?: (count: number | "unknown") => void;
}

export interface InboxParts {
  readonly listeners: Listeners;
  /** Of a connection that was opened before. */
  readonly receivedSequence: number;
  /** Says that every delivery up to this one has arrived. */
  readonly acknowledge: (sequence: number) => void;
}

/** How often the coordinator is told what has arrived, at most. Unit: ms. */
const ACKNOWLEDGE_PERIOD_MS = 100;

/** What is delivered to a connection, over all its links: each is heard once, and in order. */
export class Inbox {
  readonly #listeners: Listeners;
  readonly #acknowledgements: Pace;
  #receivedSequence: number;
  #isClosed = false;

  constructor({ listeners, receivedSequence, acknowledge }: InboxParts) {
    this.#listeners = listeners;
    this.#receivedSequence = receivedSequence;
    this.#acknowledgements = new Pace(ACKNOWLEDGE_PERIOD_MS, () => acknowledge(this.#receivedSequence));
  }

  /** Of the last delivery that was heard. */
  get receivedSequence(): number {
    return this.#receivedSequence;
  }

  /** Takes an encoded Delivery. */
  take(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    const { sequence, message, roomMessage, missed } = delivery.decode(bytes);
    if (sequence <= this.#receivedSequence) return;
    this.#receivedSequence = sequence;
    this.#acknowledgements.ask();
    const { onMessage, onRoomMessage, onMissed } = this.#listeners;
    // It stands for all that were missed, and has the sequence of the last of them.
    if (missed) callBack(onMissed, missed.unknown ? "unknown" : missed.count);
    if (message) callBack(onMessage, payloadValue(message));
    if (roomMessage) {
      const { room, from, context, sentAtMs, message: payload } = roomMessageCodec.decode(roomMessage);
      const said = payload ? payloadValue(payload) : null;
      callBack(onRoomMessage, { room, from, message: said, context, sentAt: new Date(sentAtMs) });
    }
  }

  /** Nothing is heard any more, also not of a frame that is being read: somebody else may hear what is behind `receivedSequence`. */
  close(): void {
    this.#isClosed = true;
    this.#acknowledgements.stop();
  }
}
