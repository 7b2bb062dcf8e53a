import type { CallContext } from "../base/call-context.ts";
import { decodeRequest } from "../base/decode-request.ts";
import {
  cacheEntry,
  countResponse,
  entriesMessage,
  heldLock,
  keysResponse,
  locksResponse,
  patternRequest,
} from "./cache-codec.ts";
import { checkPattern } from "./cache-faults.ts";
import type { CacheEntry, CacheStore, ScanStep } from "./cache-store.ts";

/** Takes an encoded request and gives encoded responses, as fast as they are wanted. Ends early once the context's signal aborts. */
export type CacheScanHandler = (body: Uint8Array, context: CallContext) => AsyncGenerator<Uint8Array, void, undefined>;

/** A method of CacheService that looks at all shards. */
export type CacheScanMethod = keyof ReturnType<typeof cacheScans>;

/** Entries of one message, and bytes of them beyond which it takes no more. */
const MAX_ENTRIES = 1000;
const MAX_ENTRY_BYTES = 256 * 1024;

/** Those methods. */
export function cacheScans(store: CacheStore) {
  return {
    async *Keys(body, { signal }) {
      for await (const { found, progress } of store.keys(patternIn(body), signal)) {
        yield keysResponse.encode({ keys: found, progress });
      }
    },
    async *Locks(body, { signal }) {
      for await (const { found, progress } of store.locks(patternIn(body), signal)) {
        yield locksResponse.encode({ locks: found.map(heldLock.encode), progress });
      }
    },
    Size: (body, { signal }) => counted(store.keys(patternIn(body), signal)),
    Clear: (body, { signal }) => counted(store.clear(patternIn(body), signal)),
    async *Dump(body, { signal }) {
      let entries: Uint8Array[] = [];
      let bytes = 0;
      for await (const { found, progress } of store.dump(patternIn(body), signal)) {
        for (const entry of found.map(encodeEntry)) {
          entries.push(entry);
          bytes += entry.length;
        }
        // A step without entries ends what one step of the scan has found.
        if (found.length > 0 && entries.length < MAX_ENTRIES && bytes < MAX_ENTRY_BYTES) continue;
        yield entriesMessage.encode({ entries, progress });
        [entries, bytes] = [[], 0];
      }
    },
  } satisfies Record<string, CacheScanHandler>;
}

async function* counted(scan: AsyncIterable<ScanStep<unknown>>): AsyncGenerator<Uint8Array, void, undefined> {
  let count = 0;
  for await (const { found, progress } of scan) {
    count += found.length;
    yield countResponse.encode({ count, progress });
  }
}

function encodeEntry({ key, content }: CacheEntry): Uint8Array {
  if ("items" in content) return cacheEntry.encode({ key, object: undefined, list: content });
  return cacheEntry.encode({ key, object: content, list: undefined });
}

function patternIn(body: Uint8Array): string {
  const { pattern } = decodeRequest(patternRequest.decode, body);
  checkPattern(pattern);
  return pattern;
}
