import { Buffer } from "node:buffer";
import type { Slot } from "../topology/topology.ts";
import { keysBySlot, slotOf } from "./key-slot.ts";
import type { SlotKeys } from "./redis-script.ts";

/**
 * Where a key's object or list is, and its lock. The object's key ends with the user's, so its hash tag counts and a pattern of SCAN means the same. The lock's must be in the same slot whatever the
 * user's key looks like, so its own hash tag is a text of that slot.
 */
export class CacheKeys {
  readonly #objects: string;
  readonly #locks: string;
  readonly #restored: string;
  #tags: readonly string[] | undefined;

  constructor(namespace: string) {
    this.#objects = `${namespace}:cache:`;
    this.#locks = `${namespace}:cache-lock:`;
    this.#restored = `${namespace}:cache-restore:`;
  }

  object(key: string): string {
    return `${this.#objects}${key}`;
  }

  /** Where the object or list is, and its lock. */
  placeOf(key: string): SlotKeys {
    const object = this.object(key);
    const slot = slotOf(Buffer.from(object));
    return { slot, keys: [object, `${this.#locks}{${this.#tagOf(slot)}}${key}`] };
  }

  /** Where a list is gathered that is being restored, and where it is then. */
  restoredPlaceOf(key: string, restoreId: string): SlotKeys {
    const object = this.object(key);
    const slot = slotOf(Buffer.from(object));
    return { slot, keys: [`${this.#restored}{${this.#tagOf(slot)}}${restoreId}`, object] };
  }

  /** For MATCH; an empty pattern means all. */
  objectPattern(pattern: string): string {
    return `${this.#objects}${pattern || "*"}`;
  }

  lockPattern(pattern: string): string {
    return `${this.#locks}{*}${pattern || "*"}`;
  }

  /** The user's key. */
  ofObject(key: string): string {
    return key.slice(this.#objects.length);
  }

  ofLock(key: string): string {
    return key.slice(key.indexOf("}") + 1);
  }

  /** They take some 30 ms to find, and nobody may ever need them. */
  #tagOf(slot: Slot): string {
    this.#tags ??= keysBySlot();
    return this.#tags[slot] ?? "";
  }
}
