import { setTimeout as delay } from "node:timers/promises";

import { Fault } from "../base/fault.ts";
import type { CoordinatorProcess } from "./coordinator-process.ts";

const POLL_MS = 20;
const LINKED_WITHIN_MS = 60_000;

/**
 * Resolves once each coordinator has a link to every other one. One that starts is ready after a while without them, since a peer may be away; where all of them start at once on a busy machine, the
 * last one may come later than that, and a library is not loaded before it has.
 */
export async function untilLinked(
  coordinators: readonly Pick<CoordinatorProcess, "address" | "openLinks">[],
  signal?: AbortSignal,
): Promise<void> {
  const giveUpAt = performance.now() + LINKED_WITHIN_MS;
  for (const coordinator of coordinators) {
    for (;;) {
      signal?.throwIfAborted();
      const links = await coordinator.openLinks();
      if (links >= coordinators.length - 1) break;
      if (performance.now() > giveUpAt) {
        const what = `${coordinator.address} has ${links} links to ${coordinators.length - 1} other coordinators`;
        throw new Fault("UNAVAILABLE", `the coordinators did not link within ${LINKED_WITHIN_MS} ms: ${what}`);
      }
      await delay(POLL_MS);
    }
  }
}
