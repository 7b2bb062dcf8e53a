import { Fault } from "../base/fault.ts";
import type { LeaseDoubts } from "./lease-doubts.ts";
import { checkPrefix } from "./storage-rules.ts";
import type { ListedEntry, StorageStore } from "./storage-store.ts";

/** Values that are read at once, where they are short. */
const MAX_BATCH = 256;
/** Bytes of values that may be read at once, about. */
const BATCH_BYTES = 1024 * 1024;

export interface ListOptions {
  readonly prefix: string;
  /** 0: all. */
  readonly limit: number;
  readonly keysOnly: boolean;
}

export interface StorageListingParts {
  readonly store: Pick<StorageStore, "get" | "keys">;
  readonly doubts: Pick<LeaseDoubts, "read">;
  /** Lists that may be under way at once: each remembers its keys. */
  readonly maxLists: number;
  /** Keys that one list may have. */
  readonly maxKeys: number;
}

/** Lists of what is stored, over all shards. */
export class StorageListing {
  readonly #parts: StorageListingParts;
  #open = 0;

  constructor(parts: StorageListingParts) {
    this.#parts = parts;
  }

  /** Entries as they are found, each once; without their values where those are not wanted. Rejects with INVALID_ARGUMENT, RESOURCE_EXHAUSTED or UNAVAILABLE. */
  async *list({ prefix, limit, keysOnly }: ListOptions): AsyncGenerator<readonly ListedEntry[], void, undefined> {
    checkPrefix(prefix);
    const { maxLists } = this.#parts;
    if (this.#open >= maxLists) throw new Fault("RESOURCE_EXHAUSTED", `${maxLists} lists are under way already`);
    this.#open++;
    try {
      let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
      for await (const entries of this.#entries(this.#distinctKeys(prefix))) {
        const wanted = entries.slice(0, left);
        left -= wanted.length;
        yield keysOnly ? wanted.map((entry) => ({ ...entry, value: undefined })) : wanted;
        if (left === 0) return;
      }
    } finally {
      this.#open--;
    }
  }

  async *#distinctKeys(prefix: string): AsyncGenerator<readonly string[], void, undefined> {
    const { store, maxKeys } = this.#parts;
    const seen = new Set<string>();
    for await (const found of store.keys(prefix)) {
      const fresh = found.filter((key) => !seen.has(key));
      for (const key of fresh) seen.add(key);
      if (seen.size > maxKeys) {
        const text = `more than ${maxKeys} keys begin so (setting: storageMaxListedKeys): list longer prefixes`;
        throw new Fault("RESOURCE_EXHAUSTED", text);
      }
      yield fresh;
    }
  }

  /** What is there at these keys; as many at once as their values allow. */
  async *#entries(pages: AsyncIterable<readonly string[]>): AsyncGenerator<readonly ListedEntry[], void, undefined> {
    let batch = 16;
    for await (const keys of pages) {
      for (let start = 0; start < keys.length; ) {
        const some = keys.slice(start, start + batch);
        start += some.length;
        const states = await Promise.all(some.map(async (key) => ({ key, ...(await this.#parts.store.get(key)) })));
        const bytes = states.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
        batch = bytes > BATCH_BYTES ? Math.ceil(batch / 2) : Math.min(2 * batch, MAX_BATCH);
        for (const { key, leaseId } of states) if (leaseId !== undefined) this.#parts.doubts.read(key, leaseId);
        yield states.filter(({ value }) => value !== undefined);
      }
    }
  }
}
