/**
 * RESP3 replies out of a stream of bytes. Ours, although ioredis carries a decoder, because that one loses what functions must
 * get back exactly: it sums doubles digit by digit (`0.3` becomes 0.30000000000000004), reads map keys as text (a binary
 * hash field is destroyed) and gives integers and doubles the same type.
 */
import { Buffer } from "node:buffer";
import { RedisErrorReply, type RedisReply } from "../functions/shard-redis.ts";

const CR = 13;
const MINUS = 45;
const PLUS = 43;
const ZERO = 48;
const LETTER_T = 116;
/** Types whose line only says how many bytes follow. */
const BULK: ReadonlySet<string> = new Set(["$", "=", "!"]);
/** Integers up to this many characters fit a double exactly, which is much faster to build a bigint from than text. */
const EXACT_CHARACTERS = 15;

/** What came is not RESP3, or more than this connection may hold. The stream cannot be read any further. */
export class RespDecodeError extends Error {
  override readonly name = "RespDecodeError";
  readonly reason: "malformed" | "too-large";

  constructor(reason: "malformed" | "too-large", message: string) {
    super(message);
    this.reason = reason;
  }
}

interface Aggregate {
  readonly kind: "array" | "set" | "map" | "ignored";
  readonly itemsPerEntry: number;
}

/** Push messages (`>`) and attributes (`|`) are ignored: nobody here subscribes to anything. */
const AGGREGATES: ReadonlyMap<string, Aggregate> = new Map([
  ["*", { kind: "array", itemsPerEntry: 1 }],
  ["~", { kind: "set", itemsPerEntry: 1 }],
  ["%", { kind: "map", itemsPerEntry: 2 }],
  [">", { kind: "ignored", itemsPerEntry: 1 }],
  ["|", { kind: "ignored", itemsPerEntry: 2 }],
]);

/** An aggregate whose items have not all come yet. */
interface Open {
  readonly kind: Aggregate["kind"];
  readonly count: number;
  readonly items: RedisReply[];
}

/**
 * Calls `onReply` for each complete reply, in order. Byte strings are views into the chunks that were written, not copies.
 */
export class RespDecoder {
  readonly #onReply: (reply: RedisReply) => void;
  readonly #maxReplyBytes: number;
  /** Chunks that end before the element they began does. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** How many bytes must be held before it is worth looking again: a long string in many chunks is joined once. */
  #neededBytes = 1;
  #replyBytes = 0;
  readonly #open: Open[] = [];

  constructor(onReply: (reply: RedisReply) => void, maxReplyBytes: number) {
    this.#onReply = onReply;
    this.#maxReplyBytes = maxReplyBytes;
  }

  /** Throws a RespDecodeError; the decoder is of no use after that. */
  write(chunk: Buffer): void {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes < this.#neededBytes) return;
    const buffer = this.#held.length === 1 ? chunk : Buffer.concat(this.#held, this.#heldBytes);
    this.#held = [];
    let at = 0;
    while (at < buffer.length) {
      const size = this.#element(buffer, at);
      if (size === 0) break;
      at += size;
    }
    this.#heldBytes = buffer.length - at;
    if (this.#heldBytes > 0) this.#held.push(buffer.subarray(at));
    else this.#neededBytes = 1;
  }

  /** Reads one element: a scalar, or the header of an aggregate. Returns its size, 0 where it is not complete. */
  #element(buffer: Buffer, at: number): number {
    const held = buffer.length - at;
    let end = at + 1;
    while (end < buffer.length && buffer[end] !== CR) end++;
    const type = String.fromCharCode(buffer[at] ?? 0);
    const lineIsComplete = end + 1 < buffer.length;
    const line = end + 2 - at;
    const size = lineIsComplete && BULK.has(type) ? line + bulkBytes(buffer, at + 1, end) : line;
    if (this.#replyBytes + size > this.#maxReplyBytes) {
      throw new RespDecodeError("too-large", `the reply is larger than ${this.#maxReplyBytes} bytes`);
    }
    if (held < size) {
      this.#neededBytes = lineIsComplete ? size : held + 1;
      return 0;
    }
    this.#replyBytes += size;
    const aggregate = AGGREGATES.get(type);
    if (aggregate) this.#begin(aggregate.kind, length(buffer, at + 1, end) * aggregate.itemsPerEntry);
    else if (BULK.has(type)) this.#add(bulk(type, buffer, at + line, at + size - 2));
    else this.#add(scalar(type, buffer, at + 1, end));
    return size;
  }

  #begin(kind: Open["kind"], count: number): void {
    if (count < 0) this.#add(null);
    else if (count > 0) this.#open.push({ kind, count, items: [] });
    else if (kind !== "ignored") this.#add(closed({ kind, count, items: [] }));
  }

  /** Gives a complete value to the aggregate it belongs to, and that one, once complete, to its own. */
  #add(value: RedisReply): void {
    let complete = value;
    for (;;) {
      const open = this.#open.at(-1);
      if (open === undefined) {
        this.#replyBytes = 0;
        this.#onReply(complete);
        return;
      }
      open.items.push(complete);
      if (open.items.length < open.count) return;
      this.#open.pop();
      if (open.kind === "ignored") {
        if (this.#open.length === 0) this.#replyBytes = 0;
        return;
      }
      complete = closed(open);
    }
  }
}

/** A string of `$`, `=` or `!`; `end` lies before `start` where it is null. */
function bulk(type: string, buffer: Buffer, start: number, end: number): RedisReply {
  if (end < start) return null;
  if (type === "!") return new RedisErrorReply(buffer.toString("utf8", start, end));
  // A verbatim string begins with its format and a colon, as in `txt:`.
  return buffer.subarray(type === "=" ? start + 4 : start, end);
}

/** What stands on its line alone. */
function scalar(type: string, buffer: Buffer, start: number, end: number): RedisReply {
  switch (type) {
    case ":":
      return integer(buffer, start, end);
    case "+":
      return buffer.subarray(start, end);
    case "-":
      return new RedisErrorReply(buffer.toString("utf8", start, end));
    case "_":
      return null;
    case "#":
      return buffer[start] === LETTER_T;
    case ",":
      return double(buffer.toString("latin1", start, end));
    case "(":
      return big(buffer.toString("latin1", start, end));
    default:
      throw new RespDecodeError("malformed", `unknown RESP type ${JSON.stringify(type)}`);
  }
}

function closed({ kind, items }: Open): RedisReply {
  if (kind === "set") return new Set(items);
  if (kind !== "map") return items;
  const map = new Map<RedisReply, RedisReply>();
  for (let index = 0; index < items.length; index += 2) map.set(items[index] ?? null, items[index + 1] ?? null);
  return map;
}

/** Bytes after the line: the string and its line end; none for the null of RESP2 (-1). */
function bulkBytes(buffer: Buffer, start: number, end: number): number {
  const bytes = length(buffer, start, end);
  return bytes < 0 ? 0 : bytes + 2;
}

function length(buffer: Buffer, start: number, end: number): number {
  if (end - start > EXACT_CHARACTERS) throw malformed(buffer.toString("latin1", start, end));
  return exactInteger(buffer, start, end);
}

function integer(buffer: Buffer, start: number, end: number): bigint {
  if (end - start > EXACT_CHARACTERS) return big(buffer.toString("latin1", start, end));
  return BigInt(exactInteger(buffer, start, end));
}

function exactInteger(buffer: Buffer, start: number, end: number): number {
  const sign = buffer[start];
  const first = sign === MINUS || sign === PLUS ? start + 1 : start;
  let value = 0;
  for (let at = first; at < end; at++) {
    const digit = (buffer[at] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) throw malformed(buffer.toString("latin1", start, end));
    value = value * 10 + digit;
  }
  if (first === end) throw malformed("");
  return sign === MINUS ? -value : value;
}

function big(text: string): bigint {
  if (!/^[+-]?\d+$/.test(text)) throw malformed(text);
  return BigInt(text.startsWith("+") ? text.slice(1) : text);
}

function double(text: string): number {
  if (text === "inf") return Number.POSITIVE_INFINITY;
  if (text === "-inf") return Number.NEGATIVE_INFINITY;
  if (text === "nan" || text === "-nan") return Number.NaN;
  const value = Number(text);
  if (text === "" || Number.isNaN(value)) throw malformed(text);
  return value;
}

function malformed(text: string): RespDecodeError {
  return new RespDecodeError("malformed", `not a RESP number: ${JSON.stringify(text.slice(0, 40))}`);
}
