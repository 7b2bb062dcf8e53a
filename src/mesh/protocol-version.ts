/** Newest version of the mesh protocol that is spoken here. docs/PROTOCOL.md says what each has, and what needs a new one. */
export const PROTOCOL_VERSION = 2;

/** And the oldest: clusters are updated one coordinator after the other, from a release to the next. */
export const OLDEST_PROTOCOL_VERSION = PROTOCOL_VERSION - 1;

/** The first in which a request says whether its caller has the scope `admin`. */
const SAYS_WHO_IS_ADMIN = 2;

/** Versions that one end of a link speaks, by its hello. */
export interface SpokenVersions {
  /** The newest. */
  readonly version: number;
  readonly oldestVersion: number;
}

/** The newest version that both ends speak; undefined where there is none. */
export function commonVersion({ version, oldestVersion }: SpokenVersions): number | undefined {
  const newest = Math.min(version, PROTOCOL_VERSION);
  return newest < Math.max(oldestVersion, OLDEST_PROTOCOL_VERSION) ? undefined : newest;
}

export function saysWhoIsAdmin(version: number): boolean {
  return version >= SAYS_WHO_IS_ADMIN;
}
