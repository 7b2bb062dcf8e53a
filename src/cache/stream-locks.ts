import { Fault } from "../base/fault.ts";
import type { TakenLock } from "./cache-store.ts";

export interface StreamLocksParts {
  /** Gives a lock back, or lets it expire. Never rejects. */
  readonly giveBack: (key: string, fencingToken: number) => Promise<void>;
  readonly now: () => number;
}

/** Locks that one stream may have at once. */
const MAX_LOCKS = 4096;

interface StreamLock {
  readonly key: string;
  /** By our clock, about when Redis lets it expire. Unit: ms. */
  readonly endsMs: number;
}

/** The locks that a client has taken on one of its streams: they are given back when that ends, however it does. */
export class StreamLocks {
  readonly #parts: StreamLocksParts;
  /** By fencing token, with the key: the tokens of different keys may be the same. */
  readonly #locks = new Map<string, StreamLock & { readonly fencingToken: number }>();
  #hasEnded = false;

  constructor(parts: StreamLocksParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#locks.size;
  }

  /** Throws RESOURCE_EXHAUSTED where there is no room for one more. */
  assertRoom(): void {
    if (this.#locks.size < MAX_LOCKS) return;
    // Those that were never given back.
    const now = this.#parts.now();
    for (const [id, { endsMs }] of this.#locks) if (endsMs <= now) this.#locks.delete(id);
    if (this.#locks.size < MAX_LOCKS) return;
    throw new Fault("RESOURCE_EXHAUSTED", `${MAX_LOCKS} locks are held on this stream; give some back`);
  }

  /** The stream may have ended while it was taken. */
  taken(key: string, { fencingToken }: TakenLock, lockMs: number): void {
    if (this.#hasEnded) {
      void this.#parts.giveBack(key, fencingToken);
      return;
    }
    this.#locks.set(idOf(key, fencingToken), { key, fencingToken, endsMs: this.#parts.now() + lockMs });
  }

  /** Renewed, where it was taken here. */
  renewed(key: string, fencingToken: number, lockMs: number): void {
    const id = idOf(key, fencingToken);
    if (this.#locks.has(id)) this.#locks.set(id, { key, fencingToken, endsMs: this.#parts.now() + lockMs });
  }

  /** It was given back or lost. */
  dropped(key: string, fencingToken: number): void {
    this.#locks.delete(idOf(key, fencingToken));
  }

  end(): void {
    this.#hasEnded = true;
    for (const { key, fencingToken } of this.#locks.values()) void this.#parts.giveBack(key, fencingToken);
    this.#locks.clear();
  }
}

function idOf(key: string, fencingToken: number): string {
  return `${fencingToken}:${key}`;
}
