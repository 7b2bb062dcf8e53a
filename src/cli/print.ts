import { Buffer } from "node:buffer";
import { styleText } from "node:util";
import type { JsonValue } from "../base/json-payload.ts";
import type { Reply } from "../client/reply.ts";

/** What moves a terminal's cursor, or turns its writing round: names may have been chosen by others. */
const UNPRINTABLE = /\p{C}/gu;

/** Prints `value` as JSON on one line. */
export function printJson(value: unknown): void {
  console.log(JSON.stringify(value));
}

/** Prints aligned columns under bold headings. */
export function printTable(headings: readonly string[], given: readonly (readonly string[])[]): void {
  const rows = given.map((row) => row.map(printable));
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
  console.log(styleText("bold", line(headings).trimEnd(), { stream: process.stdout }));
  for (const row of rows) console.log(line(row).trimEnd());
}

function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

/** Prints what a function returned, for a person: a text as it is, anything else as indented JSON. */
export function printReply(reply: Reply): void {
  const plain = typeof reply === "bigint" ? String(reply) : jsonOfReply(reply);
  console.log(typeof plain === "string" ? plain : JSON.stringify(plain, null, 2));
}

/**
 * A reply (read with `raw`) as JSON has it: an integer beyond 2^53 and a number that JSON lacks as a string, bytes that are not
 * UTF-8 as `{"base64": ...}`, a set as an array, a map as an object.
 */
export function jsonOfReply(reply: Reply): unknown {
  if (typeof reply === "bigint") {
    return Number.isSafeInteger(Number(reply)) ? Number(reply) : String(reply);
  }
  if (typeof reply === "number") return Number.isFinite(reply) ? reply : String(reply);
  if (reply === null || typeof reply !== "object") return reply;
  if (Buffer.isBuffer(reply)) return textOf(reply) ?? { base64: reply.toString("base64") };
  if (reply instanceof Map) {
    const entries = [...(reply as ReadonlyMap<Reply, Reply>)];
    return Object.fromEntries(entries.map(([key, value]) => [String(jsonOfReply(key)), jsonOfReply(value)]));
  }
  return [...(reply as Iterable<Reply>)].map(jsonOfReply);
}

/** A payload as JSON has it: bytes as `{"base64": ...}`. */
export function jsonOfPayload(payload: JsonValue | Uint8Array): JsonValue {
  return payload instanceof Uint8Array ? { base64: Buffer.from(payload).toString("base64") } : payload;
}

function textOf(bytes: Buffer): string | undefined {
  const text = bytes.toString("utf8");
  return Buffer.from(text).equals(bytes) ? text : undefined;
}
