import { Fault } from "../base/fault.ts";
import { QueueBudget } from "../base/queue-budget.ts";
import type { ListedEntry, StoredState } from "./storage-store.ts";
import { StorageWatch, type WatchLimits } from "./storage-watch.ts";
import { type WatchedRange, WatchedRanges } from "./watched-range.ts";

/** Watches that may be open at once. */
const MAX_WATCHES = 10_000;
/** Bytes of changes that may wait for all of them together. */
const MAX_QUEUED_BYTES = 256 * 1024 * 1024;

export interface StorageWatchesParts {
  readonly limits: WatchLimits;
  /** Keys that may be watched here. */
  readonly maxKeys: number;
  /** Called with how many changes a watcher did not read in time. */
  readonly missed: (count: number) => void;
}

/** The watches of this node, and what it knows of the keys that are watched: the revision of each that is there. */
export class StorageWatches {
  readonly #parts: StorageWatchesParts;
  readonly #watches = new Set<StorageWatch>();
  readonly #byKey = new Map<string, Set<StorageWatch>>();
  readonly #byPrefix = new Map<string, Set<StorageWatch>>();
  readonly #known = new Map<string, number>();
  readonly #budget = new QueueBudget(MAX_QUEUED_BYTES);
  #ranges = new WatchedRanges([], []);
  #closed: Fault | undefined;

  constructor(parts: StorageWatchesParts) {
    this.#parts = parts;
  }

  /** Watches that are open. */
  get open(): number {
    return this.#watches.size;
  }

  get ranges(): WatchedRanges {
    return this.#ranges;
  }

  /** Keys that are watched and there, with their revisions. */
  get known(): ReadonlyMap<string, number> {
    return this.#known;
  }

  /** Throws RESOURCE_EXHAUSTED, and UNAVAILABLE once this is closed. */
  add(range: WatchedRange): StorageWatch {
    if (this.#closed) throw this.#closed;
    if (this.#watches.size >= MAX_WATCHES) {
      throw new Fault("RESOURCE_EXHAUSTED", `${MAX_WATCHES} watches of the storage are open already`);
    }
    const { limits, missed } = this.#parts;
    const watch = new StorageWatch({
      range,
      limits,
      budget: this.#budget,
      missed,
      closed: (closed) => this.#remove(closed),
    });
    this.#watches.add(watch);
    const [index, text] = this.#indexOf(range);
    const others = index.get(text);
    if (others) others.add(watch);
    else {
      index.set(text, new Set([watch]));
      this.#rangesChanged();
    }
    return watch;
  }

  /** What was read of a key last. `shownTo` is shown it otherwise. */
  learn(key: string, state: StoredState, shownTo?: StorageWatch): void {
    const before = this.#known.get(key);
    if (state.value === undefined) this.#known.delete(key);
    else if (this.#ranges.has(key)) this.#know(key, state.revision);
    if (state.value !== undefined && before === state.revision) return;
    for (const watch of this.#watchesOf(key)) {
      if (watch !== shownTo) watch.offer(key, state, before === undefined);
    }
  }

  /** A page of the state that is being shown to a watch; what of it must be shown. */
  show(entries: readonly ListedEntry[], watch: StorageWatch): readonly ListedEntry[] {
    const admitted = watch.admit(entries);
    for (const { key, ...state } of admitted) {
      if (state.revision > (this.#known.get(key) ?? 0)) this.learn(key, state, watch);
    }
    return admitted;
  }

  /** Ends every watch with UNAVAILABLE. */
  close(reason: string): void {
    this.#closed = new Fault("UNAVAILABLE", reason);
    for (const watch of this.#watches) watch.fail(this.#closed);
  }

  #know(key: string, revision: number): void {
    this.#known.set(key, revision);
    const { maxKeys } = this.#parts;
    if (this.#known.size <= maxKeys) return;
    const text = `more than ${maxKeys} keys would be watched on this node (setting: storageMaxWatchedKeys)`;
    for (const watch of this.#watchesOf(key)) watch.fail(new Fault("RESOURCE_EXHAUSTED", text));
    this.#known.delete(key);
  }

  *#watchesOf(key: string): Generator<StorageWatch> {
    yield* this.#byKey.get(key) ?? [];
    for (const [prefix, watches] of this.#byPrefix) if (key.startsWith(prefix)) yield* watches;
  }

  #remove(watch: StorageWatch): void {
    if (!this.#watches.delete(watch)) return;
    const [index, text] = this.#indexOf(watch.range);
    const watches = index.get(text);
    watches?.delete(watch);
    if (watches?.size !== 0) return;
    index.delete(text);
    this.#rangesChanged();
    for (const key of this.#known.keys()) if (!this.#ranges.has(key)) this.#known.delete(key);
  }

  #rangesChanged(): void {
    this.#ranges = new WatchedRanges(this.#byKey.keys(), this.#byPrefix.keys());
  }

  #indexOf(range: WatchedRange): [Map<string, Set<StorageWatch>>, string] {
    return range.kind === "key" ? [this.#byKey, range.key] : [this.#byPrefix, range.prefix];
  }
}
