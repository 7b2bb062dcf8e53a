import { Fault } from "../base/fault.ts";
import type { QueueBudget } from "../base/queue-budget.ts";
import type { ListedEntry, StoredState } from "./storage-store.ts";
import type { WatchedRange } from "./watched-range.ts";

/** What one watcher's queue may hold. */
export interface WatchLimits {
  readonly maxChanges: number;
  readonly maxBytes: number;
}

export interface StorageWatchParts {
  readonly range: WatchedRange;
  readonly limits: WatchLimits;
  /** Of all watchers of this node. */
  readonly budget: QueueBudget;
  /** Called with how many changes were dropped. */
  readonly missed: (count: number) => void;
  readonly closed: (watch: StorageWatch) => void;
}

/** What a change takes in a queue, besides its key and its value. Unit: bytes. */
const CHANGE_BYTES = 100;

/**
 * One watcher. It is shown the whole state first, page by page, as fast as it reads; what changes meanwhile waits behind that, and what changes afterwards comes as it happens. Of each key the last change alone waits. Where they are
 * too many all are dropped and counted, and the watcher is shown the whole state anew: so it never lacks how a key is now.
 */
export class StorageWatch {
  readonly range: WatchedRange;
  readonly #parts: StorageWatchParts;
  /** By key, in the order in which they came. */
  readonly #changes = new Map<string, ListedEntry>();
  #bytes = 0;
  #missed = 0;
  /** Of what has changed since the state began to be shown, by key: a page that was read before says nothing of it. Undefined once it was shown. */
  #since: Map<string, number> | undefined = new Map();
  #fault: Fault | undefined;
  #news = Promise.withResolvers<void>();

  constructor(parts: StorageWatchParts) {
    this.#parts = parts;
    this.range = parts.range;
  }

  /** From now on the whole state is shown. */
  beginState(): void {
    this.#since = new Map([...this.#changes].map(([key, { revision }]) => [key, revision]));
  }

  /** Those of a page of the state that are newer than what was queued. What is queued of them is over with that: it must not be told behind them. */
  admit(entries: readonly ListedEntry[]): readonly ListedEntry[] {
    const admitted = entries.filter(({ key, revision }) => revision > (this.#since?.get(key) ?? 0));
    for (const { key } of admitted) this.#drop(key);
    return admitted;
  }

  /** The state was shown. */
  endState(): void {
    this.#since = undefined;
  }

  /** A key has changed. `isNew`: nobody here knew of it: where it is gone, those that have been shown the state were not shown it. */
  offer(key: string, state: StoredState, isNew: boolean): void {
    if (this.#fault) return;
    if (this.#since) this.#since.set(key, state.revision);
    else if (isNew && state.value === undefined) return;
    this.#drop(key);
    const entry = { key, ...state };
    const bytes = sizeOf(entry);
    const { limits, budget } = this.#parts;
    if (
      this.#changes.size >= limits.maxChanges ||
      this.#bytes + bytes > limits.maxBytes ||
      !budget.hasRoom(bytes) ||
      this.#missed > 0
    ) {
      this.#miss();
    } else {
      this.#changes.set(key, entry);
      this.#bytes += bytes;
      budget.take(bytes);
    }
    this.#news.resolve();
  }

  /** The next change; undefined while there is none. Throws why the watch has ended. */
  take(): ListedEntry | undefined {
    if (this.#fault) throw this.#fault;
    for (const [key, entry] of this.#changes) {
      this.#drop(key);
      return entry;
    }
    return undefined;
  }

  /** How many changes were dropped since it was asked last: where there are some, the state must be shown anew. */
  takeMissed(): number {
    const missed = this.#missed;
    this.#missed = 0;
    return missed;
  }

  /** Resolves once there may be something to take. */
  async news(): Promise<void> {
    if (this.#fault || this.#missed > 0 || this.#changes.size > 0) return;
    this.#news = Promise.withResolvers();
    await this.#news.promise;
  }

  /** Ends it: whoever takes is told. */
  fail(fault: Fault): void {
    this.#fault ??= fault;
    this.#news.resolve();
  }

  /** Forgets it, with all that waits. Idempotent. */
  close(): void {
    this.fail(new Fault("CANCELLED", "the watch was closed"));
    this.#clear();
    this.#parts.closed(this);
  }

  #miss(): void {
    const dropped = this.#changes.size + 1;
    this.#missed += dropped;
    this.#clear();
    this.#parts.missed(dropped);
  }

  #clear(): void {
    for (const key of this.#changes.keys()) this.#drop(key);
  }

  #drop(key: string): void {
    const entry = this.#changes.get(key);
    if (!entry) return;
    this.#changes.delete(key);
    const bytes = sizeOf(entry);
    this.#bytes -= bytes;
    this.#parts.budget.give(bytes);
  }
}

function sizeOf({ key, value }: ListedEntry): number {
  return CHANGE_BYTES + 2 * key.length + (value?.length ?? 0);
}
