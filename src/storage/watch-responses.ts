import type { CallContext } from "../base/call-context.ts";
import { decodeRequest } from "../base/decode-request.ts";
import type { StorageListing } from "./storage-listing.ts";
import type { ListedEntry, StorageStore } from "./storage-store.ts";
import type { StorageWatch } from "./storage-watch.ts";
import type { StorageWatches } from "./storage-watches.ts";
import { changeResponse, missedResponse, SYNCED, watchRequest } from "./watch-codec.ts";
import { type WatchedRange, watchedRange } from "./watched-range.ts";

export interface WatchResponsesParts {
  readonly watches: StorageWatches;
  readonly listing: StorageListing;
  readonly store: Pick<StorageStore, "get">;
  /** Resolves once the other nodes know what is watched here, within a bound. */
  readonly announced: () => Promise<void>;
}

/** Takes an encoded StorageServiceWatchRequest, and comes to encoded StorageServiceWatchResponses, until the signal aborts. */
export async function* watchResponses(
  parts: WatchResponsesParts,
  body: Uint8Array,
  { signal }: Pick<CallContext, "signal">,
): AsyncGenerator<Uint8Array, void, undefined> {
  const watch = parts.watches.add(watchedRange(decodeRequest(watchRequest.decode, body)));
  const close = (): void => watch.close();
  signal.addEventListener("abort", close);
  try {
    if (signal.aborted) return;
    // What others write from now on is told here: so nothing is lost between the state and the changes.
    await parts.announced();
    for (;;) {
      yield* stateResponses(parts, watch);
      yield* changeResponses(watch);
    }
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  } finally {
    signal.removeEventListener("abort", close);
    watch.close();
  }
}

/** The whole state. Where too much changed meanwhile, without a word that it was all. */
async function* stateResponses(
  parts: WatchResponsesParts,
  watch: StorageWatch,
): AsyncGenerator<Uint8Array, void, undefined> {
  watch.beginState();
  for await (const entries of stateOf(parts, watch.range)) {
    for (const entry of parts.watches.show(entries, watch)) yield changeResponse(entry);
  }
  watch.endState();
}

/** What has changed, as it does; until too much has that was not taken. */
async function* changeResponses(watch: StorageWatch): AsyncGenerator<Uint8Array, void, undefined> {
  let isSynced = false;
  for (;;) {
    for (let entry = watch.take(); entry; entry = watch.take()) yield changeResponse(entry);
    const missed = watch.takeMissed();
    if (missed > 0) {
      yield missedResponse(missed);
      return;
    }
    if (!isSynced) yield SYNCED;
    isSynced = true;
    await watch.news();
  }
}

async function* stateOf(
  { listing, store }: WatchResponsesParts,
  range: WatchedRange,
): AsyncGenerator<readonly ListedEntry[], void, undefined> {
  if (range.kind === "prefix") {
    yield* listing.list({ prefix: range.prefix, limit: 0, keysOnly: false });
    return;
  }
  const state = await store.get(range.key);
  if (state.value !== undefined) yield [{ key: range.key, ...state }];
}
