import type { Settings } from "./config/settings.ts";

/** How often it is looked for tasks whose leases are over: two looks put one back. Unit: ms. */
export function recoverMs({ taskLeaseMs }: Pick<Settings, "taskLeaseMs">): number {
  return Math.round(taskLeaseMs / 3);
}
