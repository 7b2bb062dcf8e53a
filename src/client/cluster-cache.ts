import { decodePayload, encodePayload, type Payload } from "../base/payload.ts";
import {
  cacheEntry,
  countResponse,
  entriesMessage,
  heldLock,
  keysResponse,
  locksResponse,
  patternRequest,
  restoreResponse,
} from "../cache/cache-codec.ts";
import type { CacheScanMethod } from "../cache/cache-scans.ts";
import type { ScanProgress } from "../cache/cache-store.ts";
import type { Definitions } from "../grpc/definitions.ts";
import { Cache, type CacheLock, type StreamRequest } from "./cache.ts";
import { readDump, writeDump } from "./cache-file.ts";
import type { Coordinators } from "./coordinators.ts";
import { passedThrough, type RpcOptions } from "./rpc-channel.ts";

export interface ScanOptions extends Pick<RpcOptions, "signal"> {
  /** Told after each step. */
  readonly onProgress?: (progress: ScanProgress) => void;
}

export interface HeldLock extends CacheLock {
  readonly key: string;
  readonly holder: string;
}

/** What a key had when it was dumped. A long list takes several entries, one behind the other. Times are by Redis' clock, since the Unix epoch. Unit: ms. */
export type DumpedEntry =
  | {
      readonly key: string;
      readonly kind: "object";
      /** Bytes, or the text of some JSON. */
      readonly payload: Payload;
      readonly createdAtMs: number;
      /** 0: it stays. */
      readonly expireTimestampMs: number;
      /** 0: it was never loaded. */
      readonly readAtMs: number;
      readonly revision: number;
    }
  | {
      readonly key: string;
      readonly kind: "list";
      readonly items: readonly Payload[];
      /** Another part of the list follows. */
      readonly isContinued: boolean;
    };

export interface Restored {
  /** Objects and lists that were saved. */
  readonly restored: number;
  /** Objects that had expired. */
  readonly expired: number;
}

export interface ClusterCacheParts {
  readonly request: StreamRequest;
  readonly coordinators: Coordinators;
  readonly definitions: Definitions;
}

/** Entries of one message to Restore, and bytes of them beyond which it takes no more. */
const MAX_ENTRIES = 1000;
const MAX_ENTRY_BYTES = 256 * 1024;

/** The cache with what concerns all of its shards. What is given a signal ends quietly where that aborts. */
export class ClusterCache extends Cache {
  readonly #parts: ClusterCacheParts;

  constructor(parts: ClusterCacheParts) {
    super(parts.request);
    this.#parts = parts;
  }

  /** All keys, or those that match a pattern of Redis (`user:*`), in no order. */
  async *keys(pattern = "", options: ScanOptions = {}): AsyncGenerator<string, void, undefined> {
    for await (const body of this.#scan("Keys", pattern, options)) {
      const { keys, progress } = keysResponse.decode(body);
      if (progress) options.onProgress?.(progress);
      yield* keys;
    }
  }

  /** All locks that somebody holds, or those of keys that match a pattern. */
  async *locks(pattern = "", options: ScanOptions = {}): AsyncGenerator<HeldLock, void, undefined> {
    for await (const body of this.#scan("Locks", pattern, options)) {
      const { locks, progress } = locksResponse.decode(body);
      if (progress) options.onProgress?.(progress);
      for (const lock of locks) {
        const { expireTimestampMs, ...held } = heldLock.decode(lock);
        yield { ...held, expireTimestamp: new Date(expireTimestampMs) };
      }
    }
  }

  /** How many objects and lists there are, or how many keys match a pattern. Where the signal aborts: how many were counted. */
  size(pattern = "", options: ScanOptions = {}): Promise<number> {
    return this.#count("Size", pattern, options);
  }

  /** Deletes all objects and lists, or those whose keys match a pattern, locked ones too. Resolves with how many. */
  clear(pattern = "", options: ScanOptions = {}): Promise<number> {
    return this.#count("Clear", pattern, options);
  }

  /** All objects and lists, or those whose keys match a pattern, for `restore`. */
  async *dump(pattern = "", options: ScanOptions = {}): AsyncGenerator<DumpedEntry, void, undefined> {
    for await (const body of this.#scan("Dump", pattern, options)) {
      const { entries, progress } = entriesMessage.decode(body);
      if (progress) options.onProgress?.(progress);
      for (const entry of entries) yield dumpedEntry(entry);
    }
  }

  /** Saves what was dumped, in the order in which it was, over what is there. What has expired since is left out. */
  async restore(
    entries: AsyncIterable<DumpedEntry> | Iterable<DumpedEntry>,
    options: RpcOptions = {},
  ): Promise<Restored> {
    const { coordinators, definitions } = this.#parts;
    const method = passedThrough(definitions.cache.Restore.path);
    return restoreResponse.decode(await coordinators.current.clientStream(method, messagesOf(entries), options));
  }

  /** Writes a dump to a file, which is there once all is in it. `pattern`: of the keys. Resolves with how many objects and lists it has. */
  dumpWrite(file: string, options: ScanOptions & { readonly pattern?: string } = {}): Promise<number> {
    return writeDump(file, this.dump(options.pattern, options), options.signal);
  }

  /** Restores what dumpWrite has written. What is in the cache besides stays there. `onProgress`: told how many bytes of the file were read. */
  dumpRead(
    file: string,
    { onProgress, ...options }: RpcOptions & { readonly onProgress?: (bytes: number) => void } = {},
  ): Promise<Restored> {
    return this.restore(readDump(file, onProgress), options);
  }

  async #count(method: "Size" | "Clear", pattern: string, options: ScanOptions): Promise<number> {
    let result = 0;
    for await (const body of this.#scan(method, pattern, options)) {
      const { count, progress } = countResponse.decode(body);
      if (progress) options.onProgress?.(progress);
      result = count;
    }
    return result;
  }

  #scan(method: CacheScanMethod, pattern: string, { signal }: ScanOptions): AsyncGenerator<Uint8Array> {
    const { coordinators, definitions } = this.#parts;
    const body = Buffer.from(patternRequest.encode({ pattern }));
    const options = signal ? { signal } : {};
    return coordinators.serverStream(passedThrough(definitions.cache[method].path), body, options);
  }
}

/** Payloads are copies: views would keep the whole message in memory. */
function dumpedEntry(bytes: Uint8Array): DumpedEntry {
  const { key, object, list } = cacheEntry.decode(bytes);
  if (list) return { key, kind: "list", items: list.items.map(ownPayload), isContinued: list.isContinued };
  const { value = new Uint8Array(), ...others } = object ?? {};
  return { key, kind: "object", ...NO_TIMES, ...others, payload: ownPayload(value) };
}

const NO_TIMES = { createdAtMs: 0, expireTimestampMs: 0, readAtMs: 0, revision: 0 };

function ownPayload(encoded: Uint8Array): Payload {
  const payload = decodePayload(encoded);
  return typeof payload === "string" ? payload : Buffer.from(payload);
}

async function* messagesOf(
  entries: AsyncIterable<DumpedEntry> | Iterable<DumpedEntry>,
): AsyncGenerator<Buffer, void, undefined> {
  let group: Buffer[] = [];
  let bytes = 0;
  for await (const entry of entries) {
    const encoded = encodeEntry(entry);
    group.push(encoded);
    bytes += encoded.length;
    if (group.length < MAX_ENTRIES && bytes < MAX_ENTRY_BYTES) continue;
    yield entriesMessage.encode({ entries: group, progress: undefined });
    [group, bytes] = [[], 0];
  }
  if (group.length > 0) yield entriesMessage.encode({ entries: group, progress: undefined });
}

function encodeEntry(entry: DumpedEntry): Buffer {
  const { key } = entry;
  if (entry.kind === "list") {
    const list = { items: entry.items.map(encodePayload), isContinued: entry.isContinued };
    return cacheEntry.encode({ key, object: undefined, list });
  }
  const { payload, ...object } = entry;
  return cacheEntry.encode({ key, object: { ...object, value: encodePayload(payload) }, list: undefined });
}
