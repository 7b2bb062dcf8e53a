import type { KnownLibrary } from "./known-library.ts";
import type { PendingRun } from "./pending-run.ts";

/**
 * The library whose code ended the process, if any: as the process said itself (`loadId`; 0: no run's), else the only one that it may
 * have been. Where several may, nobody is blamed: the process that follows says whose code is running.
 */
export function culpritOf(
  libraries: ReadonlyMap<string, KnownLibrary>,
  runs: Iterable<PendingRun>,
  loadId: number | undefined,
): KnownLibrary | undefined {
  const known = [...libraries.values()];
  if (loadId) return known.find((library) => library.loadId === loadId);
  const loading = known.filter(({ orderId }) => orderId !== undefined).map(({ source }) => source.hash);
  const running = loadId === 0 ? [] : [...runs].filter(({ wasSent }) => wasSent).map(({ run }) => run.hash);
  const suspects = new Set([...loading, ...running]);
  const [suspect = ""] = suspects;
  return suspects.size === 1 ? libraries.get(suspect) : undefined;
}
