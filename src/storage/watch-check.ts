import type { Clock } from "../base/clock.ts";
import { coalesce } from "../base/coalesce.ts";
import type { StorageStore } from "./storage-store.ts";
import type { StorageWatches } from "./storage-watches.ts";

/** How often it is seen whether there is something to check, and watched keys are looked at that are named one by one. Unit: ms. */
const LOOK_PERIOD_MS = 1000;
/** Keys whose revisions are read at once. */
const BATCH = 256;

export interface WatchCheckParts {
  readonly store: Pick<StorageStore, "keys" | "head">;
  readonly watches: Pick<StorageWatches, "ranges" | "known">;
  /** A key is not what it is known to be. */
  readonly differs: (key: string) => void;
  readonly clock: Clock;
  /** How often all keys of watched prefixes are looked at although there is no reason to. Unit: ms. */
  readonly periodMs: number;
  /** Told why it could not be looked. It is tried again. */
  readonly failed: (cause: unknown) => void;
}

/**
 * Makes up for news that were lost: with a link, or with a node that died between a write and the news of it. Keys that are watched one by one are looked at every second; those of a prefix, which takes a look at all keys of Redis,
 * where there is reason to doubt, and from time to time.
 */
export class WatchCheck {
  readonly #parts: WatchCheckParts;
  readonly #round = coalesce(() => this.#check());
  #isDoubted = false;
  #checkedAtMs = Number.NEGATIVE_INFINITY;
  #stop: (() => void) | undefined;

  constructor(parts: WatchCheckParts) {
    this.#parts = parts;
  }

  start(): void {
    const { clock } = this.#parts;
    this.#stop = clock.every(LOOK_PERIOD_MS, () => void this.#round());
  }

  stop(): void {
    this.#stop?.();
  }

  /** News may have been lost: everything is looked at within a second. */
  doubt(): void {
    this.#isDoubted = true;
  }

  async #check(): Promise<void> {
    const { watches, clock, periodMs, failed } = this.#parts;
    const { keys, prefixes } = watches.ranges;
    const isDue = this.#isDoubted || clock.now() - this.#checkedAtMs >= periodMs;
    this.#isDoubted = false;
    try {
      await this.#compare([...keys]);
      if (prefixes.size === 0 || !isDue) return;
      await this.#checkPrefixes(prefixes);
      this.#checkedAtMs = clock.now();
    } catch (cause) {
      this.#isDoubted = true;
      failed(cause);
    }
  }

  /** What was known before and is not found is gone, or what comes of it is told by who reads it. */
  async #checkPrefixes(prefixes: ReadonlySet<string>): Promise<void> {
    const { store, watches, differs } = this.#parts;
    const before = [...watches.known.keys()];
    const found = new Set<string>();
    for await (const keys of store.keys(commonStart([...prefixes]))) {
      const watched = keys.filter((key) => watches.ranges.has(key) && !found.has(key));
      for (const key of watched) found.add(key);
      await this.#compare(watched);
    }
    for (const key of before) if (!found.has(key)) differs(key);
  }

  async #compare(keys: readonly string[]): Promise<void> {
    const { store, watches, differs } = this.#parts;
    for (let start = 0; start < keys.length; start += BATCH) {
      const batch = keys.slice(start, start + BATCH);
      const revisions = await Promise.all(batch.map((key) => store.head(key)));
      for (const [index, key] of batch.entries()) if (revisions[index] !== watches.known.get(key)) differs(key);
    }
  }
}

/** What all of them begin with. */
function commonStart([first = "", ...others]: readonly string[]): string {
  let length = first.length;
  for (const other of others) while (!other.startsWith(first.slice(0, length))) length--;
  // Half a character is no text.
  const start = first.slice(0, length);
  return start.isWellFormed() ? start : start.slice(0, -1);
}
