/** The process behind reaper.ts. */
import { rmSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

import type { ReaperOrder } from "./reaper.ts";

/** In a container without an init the killed stay zombies, and look alive for ever. Unit: ms. */
const STOPPED_WITHIN_MS = 500;

const processGroups = new Set<number>();
const directories = new Set<string>();

// Only the end of stdin ends it.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);

for await (const line of createInterface({ input: process.stdin })) obey(JSON.parse(line));

for (const group of processGroups) signalGroup(group, "SIGKILL");
// A process that still runs would write its files anew behind us.
const giveUpAt = performance.now() + STOPPED_WITHIN_MS;
while (performance.now() < giveUpAt && [...processGroups].some((group) => signalGroup(group, 0))) await delay(10);
for (const directory of directories) rmSync(directory, { recursive: true, force: true, maxRetries: 3 });

function obey(order: ReaperOrder): void {
  if ("watch" in order) processGroups.add(order.watch);
  else if ("forget" in order) processGroups.delete(order.forget);
  else if ("remove" in order) directories.add(order.remove);
  else directories.delete(order.keep);
}

/** False where the group has no process. */
function signalGroup(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-group, signal);
  } catch {
    return false;
  }
}
