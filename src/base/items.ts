import { WireError } from "./wire.ts";

/**
 * Items that a repeated field or a map of one message may have, where its codec names no other bound. An item without content takes two bytes on the wire and 150 in memory: without a bound one
 * message of the largest size would take more than a gigabyte.
 */
export const MAX_ITEMS = 4096;

/** Throws a WireError where a field holds `count` items already. */
export function assertRoom(count: number, maxItems: number): void {
  if (count >= maxItems) throw new WireError(`a field has more than ${maxItems} items`);
}

/** Adds an item that was read of a repeated field. Throws a WireError beyond `maxItems`. */
export function addItem<T>(items: T[], item: T, maxItems = MAX_ITEMS): void {
  assertRoom(items.length, maxItems);
  items.push(item);
}
