import { Fault } from "../base/fault.ts";
import { watchRoomResponse } from "./room-codec.ts";
import { statusOf } from "./room-status.ts";
import type { RoomSnapshot } from "./room-store.ts";

/**
 * One watcher of a room. It is told what differs between what it knows and what there is when it reads: one that reads slowly misses who came and went meanwhile, and never how it is
 * now. Nothing is queued for it but one such difference.
 */
export class RoomWatch {
  readonly #room: string;
  readonly #wake: () => void;
  readonly #closed: () => void;
  /** What there is; undefined until it was looked at. */
  #latest: RoomSnapshot | "destroyed" | undefined;
  /** What the watcher knows, once it has taken what is queued. */
  #told: RoomSnapshot | "destroyed" | undefined;
  #fault: Fault | undefined;
  /** Encoded WatchRoomResponses, the next one last. */
  #queue: Uint8Array[] = [];

  /** `wake`: called when there may be something to take. `closed`: called when it is closed. */
  constructor(room: string, wake: () => void, closed: () => void) {
    this.#room = room;
    this.#wake = wake;
    this.#closed = closed;
  }

  /** The room is destroyed, and the watcher has taken that. */
  get isOver(): boolean {
    return this.#told === "destroyed" && this.#queue.length === 0;
  }

  /** Why there is nothing more to take; undefined while there may be. */
  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** Nothing more is shown. */
  fail(fault: Fault): void {
    this.#fault ??= fault;
    this.#wake();
  }

  /** How the room is now; undefined: it is gone. One that was added again is another one. */
  show(snapshot: RoomSnapshot | undefined): void {
    if (this.#latest === "destroyed") return;
    const isOther = this.#latest !== undefined && snapshot?.incarnation !== this.#latest.incarnation;
    if (snapshot && snapshot.count > snapshot.members.size) {
      this.fail(new Fault("RESOURCE_EXHAUSTED", `the room has ${snapshot.count} members, too many to watch`));
      return;
    }
    this.#latest = snapshot === undefined || isOther ? "destroyed" : snapshot;
    this.#wake();
  }

  /** The next event, an encoded WatchRoomResponse; undefined while there is none. */
  take(): Uint8Array | undefined {
    if (this.#queue.length === 0 && this.#latest !== this.#told) {
      this.#queue = [...this.#difference()].reverse();
      this.#told = this.#latest;
    }
    return this.#queue.pop();
  }

  /** Idempotent. */
  close(): void {
    this.#closed();
  }

  *#difference(): Generator<Uint8Array> {
    const [told, latest] = [this.#told, this.#latest];
    if (latest === undefined || told === "destroyed") return;
    if (latest === "destroyed") yield event({ destroyed: new Uint8Array() });
    else if (told === undefined) yield event({ status: statusOf(this.#room, latest) });
    else {
      // One that left and came back in between has another time of joining, and does both.
      for (const [id, { joinedAtMs }] of told.members) {
        if (latest.members.get(id)?.joinedAtMs !== joinedAtMs) yield event({ left: id });
      }
      for (const [id, { joinedAtMs, node }] of latest.members) {
        if (told.members.get(id)?.joinedAtMs !== joinedAtMs) yield event({ joined: { id, joinedAtMs, node } });
      }
    }
  }
}

const NO_EVENT = { status: undefined, joined: undefined, left: undefined, destroyed: undefined };

function event(which: Partial<Parameters<typeof watchRoomResponse.encode>[0]>): Uint8Array {
  return watchRoomResponse.encode({ ...NO_EVENT, ...which });
}
