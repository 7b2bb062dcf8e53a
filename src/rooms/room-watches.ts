import type { Clock } from "../base/clock.ts";
import { coalesce } from "../base/coalesce.ts";
import { Fault } from "../base/fault.ts";
import { checkRoom, unknownRoom } from "./room-faults.ts";
import type { RoomSelf, RoomSnapshot, RoomStore } from "./room-store.ts";
import { RoomWatch } from "./room-watch.ts";

export interface RoomWatchesParts {
  readonly store: RoomStore;
  readonly self: () => RoomSelf | undefined;
  readonly clock: Clock;
  /** How often a watched room is looked at, nudged or not; below the lease, for which the watcher is known to the others. Unit: ms. */
  readonly periodMs: number;
  /** Told why a room could not be looked at. */
  readonly failed: (room: string, cause: unknown) => void;
}

/** Watches that may be open at once. */
const MAX_WATCHES = 10_000;

interface WatchedRoom {
  readonly watches: Set<RoomWatch>;
  readonly look: () => Promise<RoomSnapshot | undefined>;
}

/**
 * The rooms that are watched here. Each is read anew when somebody says that its members have changed, and from time to time, since nobody says so for a node that died; what differs is
 * what the watchers are told.
 */
export class RoomWatches {
  readonly #parts: RoomWatchesParts;
  readonly #watched = new Map<string, WatchedRoom>();
  #open = 0;
  #stop: (() => void) | undefined;

  constructor(parts: RoomWatchesParts) {
    this.#parts = parts;
  }

  /** Watches that are open. */
  get open(): number {
    return this.#open;
  }

  start(): void {
    const { clock, periodMs } = this.#parts;
    this.#stop = clock.every(periodMs, () => {
      for (const room of this.#watched.keys()) this.changed(room);
    });
  }

  /** Ends every watch with UNAVAILABLE. */
  close(reason: string): void {
    this.#stop?.();
    for (const { watches } of this.#watched.values()) {
      for (const watch of watches) watch.fail(new Fault("UNAVAILABLE", reason));
    }
  }

  /** `wake`: called when there is something to take. Rejects with UNKNOWN_ROOM, RESOURCE_EXHAUSTED or UNAVAILABLE. */
  async watch(room: string, wake: () => void): Promise<RoomWatch> {
    if (this.#open >= MAX_WATCHES) {
      throw new Fault("RESOURCE_EXHAUSTED", `${MAX_WATCHES} watches of rooms are open already`);
    }
    checkRoom(room);
    const watched = this.#watched.get(room) ?? {
      watches: new Set<RoomWatch>(),
      look: coalesce(() => this.#read(room)),
    };
    const watch: RoomWatch = new RoomWatch(room, wake, () => {
      if (!watched.watches.delete(watch)) return;
      this.#open--;
      if (watched.watches.size === 0 && this.#watched.get(room) === watched) this.#watched.delete(room);
    });
    watched.watches.add(watch);
    this.#watched.set(room, watched);
    this.#open++;
    try {
      const snapshot = await watched.look();
      if (!snapshot) throw unknownRoom();
      watch.show(snapshot);
      return watch;
    } catch (fault) {
      watch.close();
      throw fault;
    }
  }

  /** The members of a room may have changed; does nothing for one that is not watched. */
  changed(room: string): void {
    const watched = this.#watched.get(room);
    if (!watched) return;
    watched.look().then(
      (snapshot) => {
        for (const watch of watched.watches) watch.show(snapshot);
      },
      (cause: unknown) => this.#parts.failed(room, cause),
    );
  }

  async #read(room: string): Promise<RoomSnapshot | undefined> {
    const self = this.#parts.self();
    if (!self) throw new Fault("UNAVAILABLE", "this coordinator has not reached its Redis yet");
    return this.#parts.store.watch(room, self);
  }
}
