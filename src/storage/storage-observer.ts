import type { FaultCode } from "../base/fault.ts";

/** Told what happens, for the metrics. */
export interface StorageObserver {
  /** A request of a client ended. */
  ended(method: string, code: FaultCode | "OK", seconds: number): void;
  /** A lease was ended here, and its keys are gone. */
  leaseEnded(how: "expired" | "revoked"): void;
  /** Changes were dropped that a watcher did not read in time. */
  missed(count: number): void;
}
