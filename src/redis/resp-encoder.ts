import { Buffer } from "node:buffer";

const CRLF = 0x0a0d; // as a little-endian uint16

/** One command as Redis reads it: an array of bulk strings, each as its bytes. */
export function encodeCommand(args: readonly (string | Uint8Array)[]): Buffer {
  const lengths = new Array<number>(args.length);
  let size = 1 + digitsOf(args.length) + 2;
  for (const [index, arg] of args.entries()) {
    const length = typeof arg === "string" ? Buffer.byteLength(arg) : arg.length;
    lengths[index] = length;
    size += 1 + digitsOf(length) + 2 + length + 2;
  }
  const frame = Buffer.allocUnsafe(size);
  let at = writeHeader(frame, 0, "*", args.length);
  for (const [index, arg] of args.entries()) {
    const length = lengths[index] ?? 0;
    at = writeHeader(frame, at, "$", length);
    if (typeof arg === "string") frame.write(arg, at, length, "utf8");
    else frame.set(arg, at);
    at = frame.writeUInt16LE(CRLF, at + length);
  }
  return frame;
}

function writeHeader(frame: Buffer, at: number, type: "*" | "$", count: number): number {
  const line = type + count;
  return frame.writeUInt16LE(CRLF, at + frame.write(line, at, "latin1"));
}

function digitsOf(count: number): number {
  let digits = 1;
  for (let rest = count; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  return digits;
}
