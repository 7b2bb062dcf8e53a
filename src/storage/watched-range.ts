import { Fault } from "../base/fault.ts";
import { checkKey, checkPrefix } from "./storage-rules.ts";

/** What is watched: one key, or all that begin with some text. */
export type WatchedRange =
  | { readonly kind: "key"; readonly key: string }
  | { readonly kind: "prefix"; readonly prefix: string };

/** Throws INVALID_ARGUMENT where a request names neither, or what cannot be either. */
export function watchedRange({ key, prefix }: { key: string | undefined; prefix: string | undefined }): WatchedRange {
  if (key !== undefined) {
    checkKey(key);
    return { kind: "key", key };
  }
  if (prefix === undefined)
    throw new Fault("INVALID_ARGUMENT", "name a key or a prefix to watch; all keys: an empty one");
  checkPrefix(prefix);
  return { kind: "prefix", prefix };
}

/** Ranges, and whether a key is in one of them. */
export class WatchedRanges {
  readonly keys: ReadonlySet<string>;
  readonly prefixes: ReadonlySet<string>;

  constructor(keys: Iterable<string>, prefixes: Iterable<string>) {
    this.keys = new Set(keys);
    this.prefixes = new Set(prefixes);
  }

  get isEmpty(): boolean {
    return this.keys.size === 0 && this.prefixes.size === 0;
  }

  has(key: string): boolean {
    if (this.keys.has(key)) return true;
    for (const prefix of this.prefixes) if (key.startsWith(prefix)) return true;
    return false;
  }
}
