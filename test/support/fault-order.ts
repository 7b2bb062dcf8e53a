import { join } from "node:path";
import type { FaultCode } from "../../src/base/fault.ts";
import type { FaultPoint } from "../../src/functions/fault-points.ts";

/**
 * `fail`: the step fails with `code`. `kill`: the process kills itself. `cut`: its network connections break, and new ones do at
 * once, `forMs` long, while it goes on. `freeze`: it stops until whoever gave the order resumes it, and its connections stay open.
 */
export type FaultOrder = { readonly point: FaultPoint } & (
  | { readonly fault: "fail"; readonly code: FaultCode }
  | { readonly fault: "cut"; readonly forMs: number }
  | { readonly fault: "kill" | "freeze" }
);

/** The file with the order of the coordinator at this `host:port`, in the directory where it runs. It is gone once it was obeyed. */
export function orderPath(directory: string, address: string): string {
  return join(directory, `fault-order-${address.slice(address.lastIndexOf(":") + 1)}.json`);
}
