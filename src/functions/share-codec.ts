import { Buffer } from "node:buffer";
import { WireReader, WireWriter } from "../base/wire.ts";
import {
  decodeLibraryVersion,
  encodeLibraryVersion,
  type LibraryHead,
  type LibraryVersion,
} from "./library-version.ts";

/** `gearmesh.v1.ShareLibrariesResponse`. */
export interface SharedLibraries {
  readonly newer: readonly LibraryVersion[];
  /** Whether there are more: ask again, with these among the known ones. */
  readonly more: boolean;
  /** Whether the sender has been level with the cluster's libraries since it started. */
  readonly level: boolean;
}

/** `gearmesh.v1.ShareLibrariesRequest`. */
export function encodeShareRequest(known: Iterable<LibraryHead>): Buffer {
  const writer = new WireWriter();
  for (const { name, revision, hash } of known) {
    const head = new WireWriter().string(1, name).uint(2, revision).bytes(3, Buffer.from(hash, "hex"));
    writer.bytes(1, head.finish());
  }
  return writer.finish();
}

export function decodeShareRequest(message: Uint8Array): readonly LibraryHead[] {
  const known: LibraryHead[] = [];
  const reader = new WireReader(message);
  while (reader.next()) if (reader.field === 1) known.push(decodeHead(reader.bytes()));
  return known;
}

export function encodeSharedLibraries({ newer, more, level }: SharedLibraries): Buffer {
  const writer = new WireWriter();
  for (const version of newer) writer.bytes(1, encodeLibraryVersion(version));
  return writer.uint(2, Number(more)).uint(3, Number(level)).finish();
}

export function decodeSharedLibraries(message: Uint8Array): SharedLibraries {
  const newer: LibraryVersion[] = [];
  let more = false;
  let level = false;
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === 1) newer.push(decodeLibraryVersion(reader.bytes()));
    else if (reader.field === 2) more = reader.uint() !== 0;
    else if (reader.field === 3) level = reader.uint() !== 0;
  }
  return { newer, more, level };
}

function decodeHead(message: Uint8Array): LibraryHead {
  let name = "";
  let revision = 0;
  let hash = "";
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === 1) name = reader.string();
    else if (reader.field === 2) revision = reader.uint();
    else if (reader.field === 3) hash = reader.bytes().toString("hex");
  }
  return { name, revision, hash };
}
