import { createHash } from "node:crypto";
import { WireReader, WireWriter } from "../base/wire.ts";
import type { LibrarySource } from "./sandbox-port.ts";

/**
 * One version of a library, or the deletion of one. The higher revision wins everywhere; two versions that got the same
 * revision, which takes a lost record, are told apart by their hash, so that every shard ends on the same one.
 */
export interface LibraryVersion {
  readonly name: string;
  readonly revision: number;
  /** Undefined: this version deletes the library. */
  readonly source: LibrarySource | undefined;
  /** What a rollback brings back. */
  readonly previous?: PreviousVersion | undefined;
}

/** What was loaded before a version. */
export interface PreviousVersion {
  /** The one it had. */
  readonly revision: number;
  readonly source: LibrarySource;
}

/** The version's identity: SHA-256 over name, text and configuration, each preceded by its length, in hex. */
export function librarySource(name: string, text: string, config: string): LibrarySource {
  const hash = createHash("sha256");
  for (const item of [name, text, config]) hash.update(`${Buffer.byteLength(item)}:`).update(item);
  return { name, text, config, hash: hash.digest("hex") };
}

/**
 * What a version with `source` that replaces `current` can be rolled back to: the newest that differs, so that a load that was repeated to be
 * sure does not push it out.
 */
export function previousOf(source: LibrarySource, current: LibraryVersion | undefined): PreviousVersion | undefined {
  if (!current?.source) return undefined;
  if (current.source.hash === source.hash) return current.previous;
  return { revision: current.revision, source: current.source };
}

/** As much of a version as decides which of two is newer. */
export interface LibraryHead {
  readonly name: string;
  readonly revision: number;
  /** "" for a deletion. */
  readonly hash: string;
}

export function headOf({ name, revision, source }: LibraryVersion): LibraryHead {
  return { name, revision, hash: source?.hash ?? "" };
}

/** Whether `a` replaces `b`. */
export function isNewer(a: LibraryHead, b: LibraryHead | undefined): boolean {
  if (!b) return true;
  return a.revision === b.revision ? a.hash > b.hash : a.revision > b.revision;
}

/** `gearmesh.v1.LibraryVersion`. */
export function encodeLibraryVersion({ name, revision, source, previous }: LibraryVersion): Buffer {
  const writer = new WireWriter().string(1, name).uint(2, revision);
  if (source) writer.string(3, source.text).string(4, source.config);
  else writer.uint(5, 1);
  if (previous) writer.bytes(6, encodePrevious(previous));
  return writer.finish();
}

export function decodeLibraryVersion(message: Uint8Array): LibraryVersion {
  let name = "";
  let revision = 0;
  let text = "";
  let config = "{}";
  let deleted = false;
  let previous: Buffer | undefined;
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === 1) name = reader.string();
    else if (reader.field === 2) revision = reader.uint();
    else if (reader.field === 3) text = reader.string();
    else if (reader.field === 4) config = reader.string();
    else if (reader.field === 5) deleted = reader.uint() !== 0;
    else if (reader.field === 6) previous = reader.bytes();
  }
  return {
    name,
    revision,
    source: deleted ? undefined : librarySource(name, text, config),
    ...(previous && { previous: decodePrevious(name, previous) }),
  };
}

/** `gearmesh.v1.PreviousVersion`. */
function encodePrevious({ revision, source }: PreviousVersion): Buffer {
  return new WireWriter().uint(1, revision).string(2, source.text).string(3, source.config).finish();
}

function decodePrevious(name: string, message: Uint8Array): PreviousVersion {
  let revision = 0;
  let text = "";
  let config = "{}";
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === 1) revision = reader.uint();
    else if (reader.field === 2) text = reader.string();
    else if (reader.field === 3) config = reader.string();
  }
  return { revision, source: librarySource(name, text, config) };
}
