import { encoded, flag, message, nested, optionalText, text, texts, uint } from "../base/message.ts";
import { storedEntry } from "./storage-codec.ts";
import type { ListedEntry } from "./storage-store.ts";

/** `gearmesh.v1.StorageServiceWatchRequest`: one of both is set. */
export const watchRequest = message({ key: optionalText(1), prefix: optionalText(2) });

/** `gearmesh.v1.DeletedEntry`. */
export const deletedEntry = message({ key: text(1), revision: uint(2) });

/** `gearmesh.v1.MissedChanges`. */
export const missedChanges = message({ count: uint(1) });

/** `gearmesh.v1.StorageServiceWatchResponse`: exactly one field is set. */
export const watchResponse = message({
  put: nested(1, storedEntry),
  deleted: nested(2, deletedEntry),
  synced: encoded(3),
  missed: nested(4, missedChanges),
});

/** `gearmesh.v1.ShareStorageWatchesRequest`. */
export const shareWatchesRequest = message({ nodeId: text(1), keys: texts(2), prefixes: texts(3) });

/** `gearmesh.v1.NudgeStorageRequest`. */
export const nudgeStorageRequest = message({ keys: texts(1), isIncomplete: flag(2) });

const NOTHING = { put: undefined, deleted: undefined, synced: undefined, missed: undefined };

/** How a key is now. */
export function changeResponse({ key, revision, value, leaseId = "" }: ListedEntry): Uint8Array {
  if (value === undefined) return watchResponse.encode({ ...NOTHING, deleted: { key, revision } });
  return watchResponse.encode({ ...NOTHING, put: { key, revision, value, leaseId } });
}

/** So many changes were dropped. */
export function missedResponse(count: number): Uint8Array {
  return watchResponse.encode({ ...NOTHING, missed: { count } });
}

/** The state is complete. */
export const SYNCED: Uint8Array = watchResponse.encode({ ...NOTHING, synced: new Uint8Array() });
