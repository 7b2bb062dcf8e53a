import { Buffer } from "node:buffer";

const ARRAY = 0x2a; // *
const BULK = 0x24; // $
const ZERO = 0x30;
const RETURN = 0x0d;
const LINE_FEED = 0x0a;

/** One command as Redis reads it: an array of bulk strings, each as its bytes. */
export function encodeCommand(args: readonly (string | Uint8Array)[]): Buffer {
  const lengths: number[] = [];
  let size = 1 + digitsOf(args.length) + 2;
  for (const arg of args) {
    const length = typeof arg === "string" ? Buffer.byteLength(arg) : arg.length;
    lengths.push(length);
    size += 1 + digitsOf(length) + 2 + length + 2;
  }
  const frame = Buffer.allocUnsafe(size);
  let at = writeHeader(frame, 0, ARRAY, args.length);
  let index = 0;
  for (const arg of args) {
    const length = lengths[index++] ?? 0;
    at = writeHeader(frame, at, BULK, length);
    if (typeof arg === "string") frame.write(arg, at, length, "utf8");
    else frame.set(arg, at);
    at += length;
    frame[at++] = RETURN;
    frame[at++] = LINE_FEED;
  }
  return frame;
}

/** Most counts have two digits at most: a call into native code for a text costs more than all of this. */
function writeHeader(frame: Buffer, start: number, type: number, count: number): number {
  let at = start;
  frame[at++] = type;
  if (count >= 100) at += frame.write(String(count), at, "latin1");
  else {
    if (count >= 10) frame[at++] = ZERO + Math.floor(count / 10);
    frame[at++] = ZERO + (count % 10);
  }
  frame[at++] = RETURN;
  frame[at++] = LINE_FEED;
  return at;
}

function digitsOf(count: number): number {
  let digits = 1;
  for (let rest = count; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  return digits;
}
