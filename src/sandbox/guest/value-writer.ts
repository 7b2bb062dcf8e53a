import { ApiError } from "./api-error.ts";
import {
  asIntN,
  charCodeAt,
  entriesOf,
  isArray,
  isInteger,
  isView,
  itemsOf,
  ownKeys,
  sliceBuffer,
} from "./primordials.ts";

/** Field numbers of `gearmesh.v1.Value`. */
const KIND = { null: 1, boolean: 2, integer: 3, double: 4, bulk: 5, bigNumber: 6, array: 7, set: 8, map: 9 } as const;
const ITEM = 1;
const ENTRY = 1;
const ENTRY_KEY = 1;
const ENTRY_VALUE = 2;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;

const MAX_DEPTH = 100;

/** A larger integer takes V8 minutes to turn into decimal digits, and nothing can interrupt it. */
const MAX_INTEGER = 1n << 65536n;

export function checkInteger(value: bigint): void {
  if (value > MAX_INTEGER || value < -MAX_INTEGER) throw new ApiError("the integer has more than 65536 bits");
}

export function tooLarge(maxBytes: number): ApiError {
  return new ApiError(`the result takes more than ${maxBytes} bytes`, "RESOURCE_EXHAUSTED");
}

/**
 * Encodes a result as `gearmesh.v1.Value` inside the isolate, so that neither its size nor what its getters do is the host's
 * problem. It writes from the end to the start: the length of a nested message is then known when its header is written.
 */
export class ValueWriter {
  readonly #maxBytes: number;
  #bytes = new Uint8Array(512);
  #start = 512;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  finish(): ArrayBuffer {
    if (this.#length > this.#maxBytes) throw tooLarge(this.#maxBytes);
    return sliceBuffer(this.#bytes.buffer, this.#start);
  }

  get #length(): number {
    return this.#bytes.length - this.#start;
  }

  write(value: unknown, depth = 0): void {
    switch (typeof value) {
      case "undefined":
        this.#uint(KIND.null, 0);
        break;
      case "boolean":
        this.#uint(KIND.boolean, value ? 1 : 0);
        break;
      case "bigint":
        this.#integer(value);
        break;
      case "number":
        if (isInteger(value)) this.#integer(BigInt(value));
        else this.#double(value);
        break;
      case "string":
        this.#text(KIND.bulk, value);
        break;
      case "object":
        if (value === null) this.#uint(KIND.null, 0);
        else if (!this.#bytesOrText(value)) this.#compound(value, depth);
        break;
      default:
        throw new ApiError(`a ${typeof value} cannot be a result`);
    }
  }

  /** False: the object is neither. */
  #bytesOrText(value: object): boolean {
    if (value instanceof ArrayBuffer) this.#bulk(new Uint8Array(value));
    else if (isView(value)) this.#bulk(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    // An error that the library caught and returned: its text, since it has no entries of its own.
    else if (value instanceof Error) this.#text(KIND.bulk, String(value));
    else return false;
    return true;
  }

  #compound(value: object, depth: number): void {
    if (depth >= MAX_DEPTH) throw new ApiError("nesting level reached");
    if (isArray(value)) this.#items(KIND.array, value, depth + 1);
    else if (value instanceof Set) this.#items(KIND.set, itemsOf(value), depth + 1);
    else if (value instanceof Map) this.#entries(entriesOf(value), depth + 1);
    else this.#properties(value as Record<string, unknown>, depth + 1);
  }

  #items(kind: number, items: readonly unknown[], depth: number): void {
    const end = this.#length;
    for (let i = items.length - 1; i >= 0; i--) this.#embed(ITEM, items[i], depth);
    this.#header(kind, this.#length - end);
  }

  #entries(entries: readonly (readonly [unknown, unknown])[], depth: number): void {
    const end = this.#length;
    for (let i = entries.length - 1; i >= 0; i--) {
      const [key, value] = entries[i] as readonly [unknown, unknown];
      this.#entry(key, value, depth);
    }
    this.#header(KIND.map, this.#length - end);
  }

  #properties(object: Record<string, unknown>, depth: number): void {
    const end = this.#length;
    const keys = ownKeys(object);
    for (let i = keys.length - 1; i >= 0; i--) {
      const key = keys[i] as string;
      this.#entry(key, object[key], depth);
    }
    this.#header(KIND.map, this.#length - end);
  }

  #entry(key: unknown, value: unknown, depth: number): void {
    const end = this.#length;
    this.#embed(ENTRY_VALUE, value, depth);
    this.#embed(ENTRY_KEY, key, depth);
    this.#header(ENTRY, this.#length - end);
  }

  #embed(field: number, value: unknown, depth: number): void {
    const end = this.#length;
    this.write(value, depth);
    this.#header(field, this.#length - end);
  }

  #integer(value: bigint): void {
    if (asIntN(64, value) !== value) {
      checkInteger(value);
      this.#text(KIND.bigNumber, `${value}`);
      return;
    }
    // Zigzag in two halves: arithmetic on BigInts byte by byte would be slow.
    const zigzag = value >= 0n ? value << 1n : (-value << 1n) - 1n;
    this.#varint64(Number(zigzag >> 32n), Number(zigzag & 0xffffffffn));
    this.#tag(KIND.integer, VARINT);
  }

  #double(value: number): void {
    this.#reserve(8);
    this.#start -= 8;
    new DataView(this.#bytes.buffer).setFloat64(this.#start, value, true);
    this.#tag(KIND.double, FIXED64);
  }

  #bulk(bytes: Uint8Array): void {
    if (bytes.length > this.#maxBytes) throw tooLarge(this.#maxBytes);
    this.#reserve(bytes.length);
    this.#start -= bytes.length;
    this.#bytes.set(bytes, this.#start);
    this.#header(KIND.bulk, bytes.length);
  }

  /** As UTF-8: the isolate has no TextEncoder. A lone surrogate becomes U+FFFD. */
  #text(kind: number, text: string): void {
    if (text.length > this.#maxBytes) throw tooLarge(this.#maxBytes);
    this.#reserve(text.length * 3);
    const end = this.#length;
    const bytes = this.#bytes;
    let at = this.#start;
    for (let i = text.length - 1; i >= 0; i--) {
      let unit = charCodeAt(text, i);
      if (unit < 0x80) {
        bytes[--at] = unit;
        continue;
      }
      const before = i > 0 ? charCodeAt(text, i - 1) : 0;
      if (unit >= 0xdc00 && unit <= 0xdfff && before >= 0xd800 && before <= 0xdbff) {
        const point = 0x10000 + ((before - 0xd800) << 10) + (unit - 0xdc00);
        i--;
        bytes[--at] = 0x80 | (point & 0x3f);
        bytes[--at] = 0x80 | ((point >> 6) & 0x3f);
        bytes[--at] = 0x80 | ((point >> 12) & 0x3f);
        bytes[--at] = 0xf0 | (point >> 18);
        continue;
      }
      if (unit >= 0xd800 && unit <= 0xdfff) unit = 0xfffd;
      bytes[--at] = 0x80 | (unit & 0x3f);
      if (unit < 0x800) {
        bytes[--at] = 0xc0 | (unit >> 6);
      } else {
        bytes[--at] = 0x80 | ((unit >> 6) & 0x3f);
        bytes[--at] = 0xe0 | (unit >> 12);
      }
    }
    this.#start = at;
    this.#header(kind, this.#length - end);
  }

  #uint(field: number, value: number): void {
    this.#varint64(0, value);
    this.#tag(field, VARINT);
  }

  #header(field: number, size: number): void {
    this.#varint64(0, size);
    this.#tag(field, BYTES);
  }

  #tag(field: number, type: number): void {
    this.#varint64(0, field * 8 + type);
  }

  /** `high` and `low` are the halves of an unsigned 64-bit integer. */
  #varint64(high: number, low: number): void {
    this.#reserve(10);
    let size = 1;
    for (let h = high, l = low; h > 0 || l >= 0x80; h >>>= 7) {
      l = ((l >>> 7) | ((h & 0x7f) << 25)) >>> 0;
      size++;
    }
    this.#start -= size;
    for (let i = 0, h = high, l = low; i < size; i++, h >>>= 7) {
      this.#bytes[this.#start + i] = (l & 0x7f) | (i < size - 1 ? 0x80 : 0);
      l = ((l >>> 7) | ((h & 0x7f) << 25)) >>> 0;
    }
  }

  #reserve(count: number): void {
    if (count <= this.#start) return;
    const { length: used } = this.#bytes;
    if (this.#length > this.#maxBytes) throw tooLarge(this.#maxBytes);
    const grown = new Uint8Array(used * 2 + count);
    const start = grown.length - this.#length;
    grown.set(this.#bytes.subarray(this.#start), start);
    this.#bytes = grown;
    this.#start = start;
  }
}
