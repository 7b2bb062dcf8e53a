import { Buffer } from "node:buffer";
import { createReadStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { Fault } from "../base/fault.ts";
import type { Payload } from "../base/payload.ts";
import type { DumpedEntry } from "./cluster-cache.ts";

/**
 * A dump in a file is lines of JSON: what it is, each entry, and last how many objects and lists there are, so that a file that was cut off is told apart. A payload is its JSON as a text, or its
 * bytes in base64.
 */
const HEAD = { gearmesh: "cache-dump", version: 1 };

type FilePayload = { readonly json: string } | { readonly base64: string };

/** Lines that are written at once. Unit: characters. */
const CHUNK = 256 * 1024;

/** The file is there once all is in it. Rejects with CANCELLED where the signal aborts, and with what reading the entries rejects with. */
export async function writeDump(
  file: string,
  entries: AsyncIterable<DumpedEntry>,
  signal: AbortSignal | undefined,
): Promise<number> {
  const partial = `${file}.partial`;
  let count = 0;
  try {
    await using handle = await open(partial, "w");
    let lines = lineOf(HEAD);
    for await (const entry of entries) {
      if (entry.kind === "object" || !entry.isContinued) count++;
      lines += lineOf(fileEntry(entry));
      if (lines.length < CHUNK) continue;
      await handle.write(lines);
      lines = "";
    }
    // What is read ends quietly then.
    if (signal?.aborted) throw new Fault("CANCELLED", "the dump was cancelled", { cause: signal.reason });
    await handle.write(lines + lineOf({ end: true, count }));
    await handle.sync();
  } catch (thrown) {
    await rm(partial, { force: true });
    throw thrown;
  }
  await rename(partial, file);
  return count;
}

/** Rejects with INVALID_ARGUMENT where the file is no dump, or only a part of one: after what came before. */
export async function* readDump(
  file: string,
  onProgress?: (bytes: number) => void,
): AsyncGenerator<DumpedEntry, void, undefined> {
  const input = createReadStream(file);
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  let count = 0;
  let number = 0;
  let isWhole = false;
  try {
    for await (const line of lines) {
      number++;
      const read = parsed(line, file, number);
      if (number === 1) {
        if (read["gearmesh"] !== HEAD.gearmesh) throw noDump(file, number);
        if (read["version"] !== HEAD.version) throw noDump(file, number, "it is of a newer release");
      } else if (read["end"] === true) {
        isWhole = read["count"] === count;
      } else {
        const entry = entryIn(read, file, number);
        if (entry.kind === "object" || !entry.isContinued) count++;
        yield entry;
        onProgress?.(input.bytesRead);
      }
    }
  } finally {
    input.destroy();
  }
  if (!isWhole) throw new Fault("INVALID_ARGUMENT", `${file} is not whole: it ends after ${count} objects and lists`);
}

function lineOf(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

function fileEntry(entry: DumpedEntry): object {
  if (entry.kind === "list") return { ...entry, items: entry.items.map(filePayload) };
  const { payload, ...others } = entry;
  return { ...others, payload: filePayload(payload) };
}

function filePayload(payload: Payload): FilePayload {
  return typeof payload === "string" ? { json: payload } : { base64: Buffer.from(payload).toString("base64") };
}

function parsed(line: string, file: string, number: number): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // It is said below.
  }
  throw noDump(file, number);
}

function entryIn(read: Readonly<Record<string, unknown>>, file: string, number: number): DumpedEntry {
  const { key, kind, items, isContinued } = read;
  if (typeof key !== "string") throw noDump(file, number);
  const payload = (value: unknown): Payload => {
    const { json, base64 } = (value ?? {}) as Partial<Record<string, unknown>>;
    if (typeof json === "string") return json;
    if (typeof base64 === "string") return Buffer.from(base64, "base64");
    throw noDump(file, number);
  };
  if (kind === "list" && Array.isArray(items)) {
    return { key, kind, items: items.map(payload), isContinued: isContinued === true };
  }
  if (kind !== "object") throw noDump(file, number);
  const time = (name: string): number => {
    const value = read[name];
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
    throw noDump(file, number, `its ${name} is no time`);
  };
  return {
    key,
    kind,
    payload: payload(read["payload"]),
    createdAtMs: time("createdAtMs"),
    expireTimestampMs: time("expireTimestampMs"),
    readAtMs: time("readAtMs"),
    revision: time("revision"),
  };
}

function noDump(file: string, line: number, why = "it is none of a dump"): Fault {
  return new Fault("INVALID_ARGUMENT", `${file} cannot be restored from line ${line} on: ${why}`);
}
