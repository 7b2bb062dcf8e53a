import { isUtf8 } from "node:buffer";
import { Fault } from "./fault.ts";

/** Deepest nesting of arrays and objects: for what lies deeper many readers, and JSON.stringify, have not enough stack. */
export const MAX_JSON_DEPTH = 512;

const TAB = 0x09;
const LINE_FEED = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const LOWER_E = 0x65;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Throws INVALID_ARGUMENT where `bytes` are not one JSON text (RFC 8259) in UTF-8, or nest deeper than MAX_JSON_DEPTH. Builds nothing, unlike JSON.parse, whose values take up to ten times as much
 * memory as their text.
 */
export function checkJson(bytes: Uint8Array): void {
  if (!isUtf8(bytes)) throw new Fault("INVALID_ARGUMENT", "a value is not JSON: it is not UTF-8");
  const end = pastSpace(bytes, pastValue(bytes, pastSpace(bytes, 0), 0));
  if (end < bytes.length) throw unexpected(bytes, end);
}

// Each function takes where its part begins and returns where the part has ended. A byte beyond the end is -1.

function at(bytes: Uint8Array, index: number): number {
  return index < bytes.length ? (bytes[index] as number) : -1;
}

function pastSpace(bytes: Uint8Array, start: number): number {
  let index = start;
  for (;;) {
    const byte = at(bytes, index);
    if (byte > SPACE || (byte !== SPACE && byte !== LINE_FEED && byte !== TAB && byte !== RETURN)) return index;
    index++;
  }
}

function pastValue(bytes: Uint8Array, start: number, depth: number): number {
  const first = at(bytes, start);
  if (first === QUOTE) return pastString(bytes, start + 1);
  if (first === OPEN_OBJECT) return pastObject(bytes, start + 1, deeper(depth));
  if (first === OPEN_ARRAY) return pastArray(bytes, start + 1, deeper(depth));
  if (first === MINUS || isDigit(first)) return pastNumber(bytes, start);
  return pastWord(bytes, start);
}

function deeper(depth: number): number {
  if (depth < MAX_JSON_DEPTH) return depth + 1;
  throw new Fault("INVALID_ARGUMENT", `a value is JSON of more than ${MAX_JSON_DEPTH} levels`);
}

/** Of the members and the closing brace. */
function pastObject(bytes: Uint8Array, start: number, depth: number): number {
  let index = pastSpace(bytes, start);
  if (at(bytes, index) === CLOSE_OBJECT) return index + 1;
  for (;;) {
    index = pastSpace(bytes, pastString(bytes, past(bytes, index, QUOTE)));
    index = pastSpace(bytes, past(bytes, index, COLON));
    index = pastSpace(bytes, pastValue(bytes, index, depth));
    if (at(bytes, index) === CLOSE_OBJECT) return index + 1;
    index = pastSpace(bytes, past(bytes, index, COMMA));
  }
}

/** Of the items and the closing bracket. */
function pastArray(bytes: Uint8Array, start: number, depth: number): number {
  let index = pastSpace(bytes, start);
  if (at(bytes, index) === CLOSE_ARRAY) return index + 1;
  for (;;) {
    index = pastSpace(bytes, pastValue(bytes, index, depth));
    if (at(bytes, index) === CLOSE_ARRAY) return index + 1;
    index = pastSpace(bytes, past(bytes, index, COMMA));
  }
}

/** Of what follows the opening quote. */
function pastString(bytes: Uint8Array, start: number): number {
  let index = start;
  let long = start + LONG;
  for (;;) {
    const byte = at(bytes, index);
    if (byte === QUOTE) return index + 1;
    if (byte < SPACE) throw unexpected(bytes, index);
    if (byte === BACKSLASH) {
      index = pastEscape(bytes, index + 1);
      long = index + LONG;
    } else if (++index === long) {
      index = pastPlain(bytes, index);
      long = index + LONG;
    }
  }
}

/** Characters in a row after which it pays to look at four at a time. */
const LONG = 32;

/**
 * Four characters at a time, up to those among which there is a quote, a backslash or a control character, or to the last few. In each byte of these differences the highest bit is set where the
 * character counts; what a subtraction borrows only reaches characters behind one that does. Exchanging 0x20 and 0x22 puts the quote next to the control characters, so that one difference finds both.
 */
function pastPlain(bytes: Uint8Array, start: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const last = bytes.length - 4;
  let index = start;
  for (; index <= last; index += 4) {
    const word = view.getInt32(index, true);
    const controls = (word ^ 0x02020202) - 0x21212121;
    const backslashes = (word ^ 0x5c5c5c5c) - 0x01010101;
    // A character beyond ASCII has that bit to begin with, and is none of them.
    if (((controls | backslashes) & ~word & 0x80808080) !== 0) break;
  }
  return index;
}

function pastEscape(bytes: Uint8Array, start: number): number {
  switch (at(bytes, start)) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // /
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return start + 1;
    case 0x75: // u
      for (let index = start + 1; index < start + 5; index++) {
        if (!isHex(at(bytes, index))) throw unexpected(bytes, index);
      }
      return start + 5;
    default:
      throw unexpected(bytes, start);
  }
}

function pastNumber(bytes: Uint8Array, start: number): number {
  let index = at(bytes, start) === MINUS ? start + 1 : start;
  index = at(bytes, index) === DIGIT_0 ? index + 1 : pastDigits(bytes, index);
  if (at(bytes, index) === DOT) index = pastDigits(bytes, index + 1);
  if ((at(bytes, index) | 0x20) !== LOWER_E) return index;
  const sign = at(bytes, index + 1);
  return pastDigits(bytes, sign === PLUS || sign === MINUS ? index + 2 : index + 1);
}

/** At least one. */
function pastDigits(bytes: Uint8Array, start: number): number {
  let index = start;
  while (isDigit(at(bytes, index))) index++;
  if (index === start) throw unexpected(bytes, index);
  return index;
}

function pastWord(bytes: Uint8Array, start: number): number {
  switch (at(bytes, start)) {
    case 0x74: // true
      return past(bytes, past(bytes, past(bytes, start + 1, 0x72), 0x75), 0x65);
    case 0x66: // false
      return past(bytes, past(bytes, past(bytes, past(bytes, start + 1, 0x61), 0x6c), 0x73), 0x65);
    case 0x6e: // null
      return past(bytes, past(bytes, past(bytes, start + 1, 0x75), 0x6c), 0x6c);
    default:
      throw unexpected(bytes, start);
  }
}

function past(bytes: Uint8Array, index: number, expected: number): number {
  if (at(bytes, index) !== expected) throw unexpected(bytes, index);
  return index + 1;
}

function isDigit(byte: number): boolean {
  return byte >= DIGIT_0 && byte <= DIGIT_9;
}

function isHex(byte: number): boolean {
  const lower = byte | 0x20;
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66);
}

function unexpected(bytes: Uint8Array, index: number): Fault {
  const what = index < bytes.length ? "its text is wrong" : "its text ends too early";
  return new Fault("INVALID_ARGUMENT", `a value is not JSON: ${what} at byte ${index}`);
}
