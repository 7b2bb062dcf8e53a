import type { StorageStore, StoredState } from "./storage-store.ts";

/** Keys that are read at once. */
const MAX_READING = 64;
/** Keys that may wait to be read; beyond, all are looked at. */
const MAX_WAITING = 10_000;

export interface ChangedKeysParts {
  readonly store: Pick<StorageStore, "get">;
  /** Told what a key is now. */
  readonly read: (key: string, state: StoredState) => void;
  /** There were too many, or one could not be read: all must be looked at. */
  readonly lost: () => void;
}

/** Reads keys that have changed, each by one reading at a time, so that what is told of it is in order; what changes while it is read is read again. */
export class ChangedKeys {
  readonly #parts: ChangedKeysParts;
  readonly #waiting = new Set<string>();
  readonly #reading = new Set<string>();

  constructor(parts: ChangedKeysParts) {
    this.#parts = parts;
  }

  add(key: string): void {
    if (this.#waiting.size >= MAX_WAITING) {
      this.#parts.lost();
      return;
    }
    this.#waiting.add(key);
    this.#pump();
  }

  #pump(): void {
    for (const key of this.#waiting) {
      if (this.#reading.size >= MAX_READING) return;
      if (this.#reading.has(key)) continue;
      this.#waiting.delete(key);
      this.#reading.add(key);
      void this.#read(key);
    }
  }

  async #read(key: string): Promise<void> {
    const { store, read, lost } = this.#parts;
    try {
      read(key, await store.get(key));
    } catch {
      lost();
    } finally {
      this.#reading.delete(key);
      this.#pump();
    }
  }
}
