import { randomUUID } from "node:crypto";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import { checkPayload } from "../base/json-payload.ts";
import { cacheEntry, entriesMessage, restoreResponse } from "./cache-codec.ts";
import { checkKey } from "./cache-faults.ts";
import type { CacheStore } from "./cache-store.ts";

export interface CacheRestoreParts {
  readonly store: CacheStore;
  /** Largest value, encoded. Unit: bytes. */
  readonly maxValueBytes: number;
  /** Since the Unix epoch. Unit: ms. */
  readonly now: () => number;
}

type Entry = ReturnType<typeof cacheEntry.decode>;

/** Objects that are restored at the same time. */
const AT_ONCE = 256;

/** One call of Restore: entries in the order they were dumped in. */
export class CacheRestore {
  readonly #parts: CacheRestoreParts;
  /** The list whose next part must come next, and what its parts go by. */
  #list: { readonly key: string; readonly restoreId: string } | undefined;
  #restored = 0;
  #expired = 0;

  constructor(parts: CacheRestoreParts) {
    this.#parts = parts;
  }

  /** Takes an encoded request. Rejects with INVALID_ARGUMENT, and as CacheStore does. */
  async take(body: Uint8Array): Promise<void> {
    const { entries } = decodeRequest(entriesMessage.decode, body);
    const objects: (() => Promise<void>)[] = [];
    for (const encoded of entries) {
      const entry = decodeRequest(cacheEntry.decode, encoded);
      checkKey(entry.key);
      if (entry.list) {
        await this.#takePart(entry.key, entry.list);
        continue;
      }
      this.#assertWhole();
      objects.push(() => this.#takeObject(entry));
    }
    for (let start = 0; start < objects.length; start += AT_ONCE) {
      await Promise.all(objects.slice(start, start + AT_ONCE).map((restore) => restore()));
    }
  }

  /** Resolves with the encoded response once all has been taken. */
  finish(): Uint8Array {
    this.#assertWhole();
    return restoreResponse.encode({ restored: this.#restored, expired: this.#expired });
  }

  async #takeObject({ key, object }: Entry): Promise<void> {
    if (!object?.value) throw new Fault("INVALID_ARGUMENT", "an entry has neither an object nor a list");
    this.#checkValue(object.value);
    if (object.expireTimestampMs !== 0 && object.expireTimestampMs <= this.#parts.now()) {
      this.#expired++;
      return;
    }
    await this.#parts.store.restoreObject(key, { ...object, value: object.value });
    this.#restored++;
  }

  async #takePart(key: string, part: NonNullable<Entry["list"]>): Promise<void> {
    if (part.items.length === 0) throw new Fault("INVALID_ARGUMENT", "a list has no items");
    for (const item of part.items) this.#checkValue(item);
    if (this.#list && this.#list.key !== key) this.#assertWhole();
    const { restoreId } = this.#list ?? { restoreId: randomUUID() };
    await this.#parts.store.restoreList(key, part, restoreId);
    this.#list = part.isContinued ? { key, restoreId } : undefined;
    if (!part.isContinued) this.#restored++;
  }

  #assertWhole(): void {
    if (this.#list) throw new Fault("INVALID_ARGUMENT", `the rest of the list ${this.#list.key} is missing`);
  }

  #checkValue(value: Uint8Array): void {
    const { maxValueBytes } = this.#parts;
    if (value.length > maxValueBytes) {
      const text = `a value of ${value.length} bytes exceeds the limit of ${maxValueBytes} (maxCacheValueBytes)`;
      throw new Fault("RESOURCE_EXHAUSTED", text);
    }
    checkPayload(value);
  }
}
