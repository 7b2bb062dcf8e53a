/**
 * Built-ins as they were before the library's code ran. A library that patches `JSON.stringify` or `Promise.prototype.then` for
 * itself must not change how its results leave the isolate. Nothing here guards the host: it trusts no value from in here.
 */

type Uncurried<Self, Args extends unknown[], Result> = (self: Self, ...args: Args) => Result;

function uncurry<Self, Args extends unknown[], Result>(
  method: (this: Self, ...args: Args) => Result,
): Uncurried<Self, Args, Result> {
  return Function.prototype.call.bind(method) as Uncurried<Self, Args, Result>;
}

export const { parse: parseJson, stringify: stringifyJson } = JSON;
export const { isArray } = Array;
export const { isView } = ArrayBuffer;
export const { asIntN } = BigInt;
export const { isInteger, isSafeInteger } = Number;
export const { keys: ownKeys, freeze, defineProperty, getPrototypeOf } = Object;

export const PromiseOf = Promise;
export const resolved = Promise.resolve.bind(Promise);
type Reaction = (value: unknown) => unknown;
export const whenSettled = uncurry<Promise<unknown>, [Reaction, Reaction?], Promise<unknown>>(Promise.prototype.then);

export const charCodeAt = uncurry(String.prototype.charCodeAt);
export const isWellFormed = uncurry(String.prototype.isWellFormed);
export const sliceText = uncurry(String.prototype.slice);
export const sliceBuffer = uncurry(ArrayBuffer.prototype.slice);
/** RegExp.prototype.test would look up `exec`, which the library may have replaced. */
const exec = uncurry(RegExp.prototype.exec);
export const matches = (pattern: RegExp, text: string): boolean => exec(pattern, text) !== null;

/** Of a well-formed text, which should be short. Unit: bytes. */
export function utf8Length(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = charCodeAt(text, i);
    // Each half of a surrogate pair stands for two bytes of its four.
    const isHalf = unit >= 0xd800 && unit <= 0xdfff;
    bytes += unit < 0x80 ? 1 : unit < 0x800 || isHalf ? 2 : 3;
  }
  return bytes;
}

const forEachOfSet = uncurry(Set.prototype.forEach);
const forEachOfMap = uncurry(Map.prototype.forEach);

export function itemsOf(set: Set<unknown>): unknown[] {
  const items: unknown[] = [];
  forEachOfSet(set, (item) => {
    items[items.length] = item;
  });
  return items;
}

export function entriesOf(map: Map<unknown, unknown>): [unknown, unknown][] {
  const entries: [unknown, unknown][] = [];
  forEachOfMap(map, (value, key) => {
    entries[entries.length] = [key, value];
  });
  return entries;
}
