import type { Call } from "./load.ts";
import { TEXT } from "./text.ts";

/** Keys that take turns: more than pairs are under way at once. */
const KEYS = 4096;

/** Saves and loads objects, as Actionhero and we both do. */
export interface PairCache {
  save(key: string, value: string): Promise<unknown>;
  load(key: string): Promise<{ readonly value: unknown }>;
}

/** A pair: an object is saved and, once that is answered, loaded. */
export function pairsOf(cache: PairCache): Call {
  let next = 0;
  return async () => {
    const key = `key:${next++ % KEYS}`;
    await cache.save(key, TEXT);
    if ((await cache.load(key)).value !== TEXT) throw new Error("not what was saved");
  };
}
