import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import type { JsonValue } from "../base/json-payload.ts";
import { checkRoom, roomExists, unknownRoom } from "./room-faults.ts";
import type { RoomNews } from "./room-news.ts";
import type { RoomSpeech } from "./room-speech.ts";
import { viewOf } from "./room-status.ts";
import type { RoomSnapshot, RoomStore } from "./room-store.ts";

export interface RoomsParts {
  readonly store: RoomStore;
  readonly speech: RoomSpeech;
  readonly news: RoomNews;
}

/** Rooms as wholes: what is the same at every node. */
export class Rooms {
  readonly #parts: RoomsParts;

  constructor(parts: RoomsParts) {
    this.#parts = parts;
  }

  /** In alphabetical order. Rejects with UNAVAILABLE. */
  async list(): Promise<readonly string[]> {
    return [...(await this.#parts.store.list())].sort();
  }

  /** Rejects with INVALID_ARGUMENT, ROOM_EXISTS, RESOURCE_EXHAUSTED, UNAVAILABLE or INDETERMINATE. */
  async add(room: string): Promise<void> {
    checkRoom(room);
    const outcome = await this.#parts.store.add(room);
    if (outcome === "exists") throw roomExists();
    if (outcome === "full") throw new Fault("RESOURCE_EXHAUSTED", "there are as many rooms as there may be");
  }

  /** Tells the members. Resolves with how many the room had. Rejects with INVALID_ARGUMENT, UNKNOWN_ROOM, UNAVAILABLE or INDETERMINATE. */
  async destroy(room: string, context: CallContext): Promise<number> {
    checkRoom(room);
    const { store, speech, news } = this.#parts;
    const destroyed = await store.destroy(room);
    if (!destroyed) throw unknownRoom();
    news.spread(room, destroyed.watchers);
    await speech.sayDestroyed(room, destroyed, context);
    return destroyed.members;
  }

  /** Rejects with INVALID_ARGUMENT or UNAVAILABLE. */
  async exists(room: string): Promise<boolean> {
    checkRoom(room);
    return this.#parts.store.exists(room);
  }

  /** Rejects with INVALID_ARGUMENT, UNKNOWN_ROOM or UNAVAILABLE. */
  async status(room: string): Promise<RoomSnapshot> {
    checkRoom(room);
    const snapshot = await this.#parts.store.status(room);
    if (!snapshot) throw unknownRoom();
    return snapshot;
  }

  /** The status as JSON has it. Rejects as `status` does. */
  async view(room: string): Promise<JsonValue> {
    return viewOf(room, await this.status(room));
  }
}
