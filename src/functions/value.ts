import type { Buffer } from "node:buffer";
import { Fault } from "../base/fault.ts";
import { WireError, WireReader, WireWriter } from "../base/wire.ts";

/**
 * A typed reply. Integers come out of a decoded value as bigints, doubles as numbers, bulk strings as bytes; what goes in may
 * also be a string, which is bulk, or a number without a fraction, which is an integer.
 */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | readonly Value[]
  | ReadonlySet<Value>
  | ReadonlyMap<Value, Value>;

/** Field numbers of `gearmesh.v1.Value`. */
const KIND = { null: 1, boolean: 2, integer: 3, double: 4, bulk: 5, bigNumber: 6, array: 7, set: 8, map: 9 } as const;
const ITEM = 1;
const ENTRY = 1;
const ENTRY_KEY = 1;
const ENTRY_VALUE = 2;

/** Deepest nesting of arrays, sets and maps. */
export const MAX_VALUE_DEPTH = 100;

/** `gearmesh.v1.Value`. Throws FUNCTION_FAILED where it nests too deep. */
export function encodeValue(value: Value): Buffer {
  return encodeAt(value, 0);
}

function encodeAt(value: Value, depth: number): Buffer {
  const writer = new WireWriter(typeof value === "string" || value instanceof Uint8Array ? value.length + 16 : 32);
  if (value === null) return writer.uint(KIND.null, 0).finish();
  switch (typeof value) {
    case "boolean":
      return writer.uint(KIND.boolean, value ? 1 : 0).finish();
    case "bigint":
      return writeInteger(writer, value).finish();
    case "number":
      return Number.isInteger(value)
        ? writeInteger(writer, BigInt(value)).finish()
        : writer.double(KIND.double, value).finish();
    case "string":
      return writer.string(KIND.bulk, value).finish();
    default:
      if (value instanceof Uint8Array) return writer.bytes(KIND.bulk, value).finish();
      if (depth >= MAX_VALUE_DEPTH) throw new Fault("FUNCTION_FAILED", "nesting level reached");
      return writer.bytes(compoundKind(value), encodeItems(value, depth + 1)).finish();
  }
}

function writeInteger(writer: WireWriter, value: bigint): WireWriter {
  return BigInt.asIntN(64, value) === value
    ? writer.sint64(KIND.integer, value)
    : writer.string(KIND.bigNumber, String(value));
}

type Compound = readonly Value[] | ReadonlySet<Value> | ReadonlyMap<Value, Value>;

function compoundKind(value: Compound): number {
  if (value instanceof Map) return KIND.map;
  return value instanceof Set ? KIND.set : KIND.array;
}

function encodeItems(value: Compound, depth: number): Buffer {
  const writer = new WireWriter();
  if (value instanceof Map) {
    for (const [key, item] of value as ReadonlyMap<Value, Value>) {
      const entry = new WireWriter().bytes(ENTRY_KEY, encodeAt(key, depth)).bytes(ENTRY_VALUE, encodeAt(item, depth));
      writer.bytes(ENTRY, entry.finish());
    }
  } else {
    for (const item of value as Iterable<Value>) writer.bytes(ITEM, encodeAt(item, depth));
  }
  return writer.finish();
}

/** Bulk strings are views into the message. Throws WireError. */
export function decodeValue(message: Uint8Array): Value {
  return decodeAt(message, 0);
}

function decodeAt(message: Uint8Array, depth: number): Value {
  if (depth > MAX_VALUE_DEPTH) throw new WireError("the value nests too deep");
  let value: Value = null;
  const reader = new WireReader(message);
  while (reader.next()) value = decodeKind(reader, depth) ?? value;
  return value;
}

function decodeKind(reader: WireReader, depth: number): Value | undefined {
  switch (reader.field) {
    case KIND.null:
      return null;
    case KIND.boolean:
      return reader.uint() !== 0;
    case KIND.integer:
      return reader.sint64();
    case KIND.double:
      return reader.double();
    case KIND.bulk:
      return reader.bytes();
    case KIND.bigNumber:
      return decodeBigNumber(reader.string());
    case KIND.array:
      return decodeItems(reader.bytes(), depth + 1);
    case KIND.set:
      return new Set(decodeItems(reader.bytes(), depth + 1));
    case KIND.map:
      return decodeEntries(reader.bytes(), depth + 1);
    default:
      return undefined;
  }
}

function decodeBigNumber(digits: string): bigint {
  if (!/^-?\d+$/.test(digits)) throw new WireError("the big number is not one");
  return BigInt(digits);
}

function decodeItems(list: Buffer, depth: number): Value[] {
  const items: Value[] = [];
  const reader = new WireReader(list);
  while (reader.next()) if (reader.field === ITEM) items.push(decodeAt(reader.bytes(), depth));
  return items;
}

function decodeEntries(map: Buffer, depth: number): Map<Value, Value> {
  const entries = new Map<Value, Value>();
  const reader = new WireReader(map);
  while (reader.next()) {
    if (reader.field !== ENTRY) continue;
    let key: Value = null;
    let value: Value = null;
    const entry = new WireReader(reader.bytes());
    while (entry.next()) {
      if (entry.field === ENTRY_KEY) key = decodeAt(entry.bytes(), depth);
      else if (entry.field === ENTRY_VALUE) value = decodeAt(entry.bytes(), depth);
    }
    entries.set(key, value);
  }
  return entries;
}
