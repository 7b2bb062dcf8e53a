import type { LibraryVersion } from "./library-version.ts";

/** Where libraries are recorded for coordinators that start or return. */
export interface LibraryRecords {
  get(name: string): Promise<LibraryVersion | undefined>;
  list(): Promise<readonly LibraryVersion[]>;
  /**
   * Records `version` if the record's revision is still `expectedRevision` (0: no record); false if it is not. Rejects with
   * UNAVAILABLE when nothing was written, INDETERMINATE when that is unknown.
   */
  commit(version: LibraryVersion, expectedRevision: number): Promise<boolean>;
}
