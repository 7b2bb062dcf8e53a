import type { LibraryRecords } from "../functions/library-records.ts";
import { decodeLibraryVersion, encodeLibraryVersion, type LibraryVersion } from "../functions/library-version.ts";
import type { RecordStore } from "../storage/records.ts";

const COLLECTION = "libraries";

/** Keeps libraries in the store of all that gearmesh must not lose. */
export function libraryRecords(store: RecordStore): LibraryRecords {
  return {
    async get(name) {
      const record = await store.get(COLLECTION, name);
      return record && decodeLibraryVersion(record.value);
    },
    async list() {
      const records = await store.list(COLLECTION);
      return [...records.values()].map(({ value }) => decodeLibraryVersion(value));
    },
    commit: (version: LibraryVersion, expectedRevision: number) =>
      store.compareAndSet(COLLECTION, version.name, expectedRevision, {
        revision: version.revision,
        value: encodeLibraryVersion(version),
      }),
  };
}
