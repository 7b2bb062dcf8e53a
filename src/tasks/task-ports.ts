import type { CallContext } from "../base/call-context.ts";
import type { FaultCode } from "../base/fault.ts";

/** When a middleware runs. */
export type Stage = "before_enqueue" | "after_enqueue" | "before_work" | "after_work";

/** What libraries do for tasks. */
export interface TaskFunctions {
  /** Runs one attempt; takes encoded payloads, resolves with one. `progressed` is told how far it is, until then. Rejects as ShardRunner.task does. */
  run(
    task: string,
    args: readonly Uint8Array[],
    context: CallContext,
    progressed: (progress: Uint8Array) => void,
  ): Promise<Uint8Array>;
  /** What is to be run for a stage of a task, one after the other. */
  middleware(
    stage: Stage,
    task: string,
  ): readonly ((args: readonly Uint8Array[], context: CallContext) => Promise<Uint8Array>)[];
}

/** Why a task that had begun began again. */
export const RERUN_CAUSES = ["worker-died", "lease-over", "sandbox-died", "handed-back"] as const;
export type RerunCause = (typeof RERUN_CAUSES)[number];

/** Told for the metrics. */
export interface TaskObserver {
  enqueued(tasks: number): void;
  /** One begins, so long after it was to. */
  began(waitedSeconds: number): void;
  /** One has ended: by `code`. */
  ended(code: FaultCode | "OK", seconds: number): void;
  rerun(cause: RerunCause): void;
}

/** Told what goes wrong and is tried again. */
export type TaskFailed = (what: string, cause: unknown) => void;

/** When a cron line fires next after a point in time. Throws INVALID_ARGUMENT for one that is none, or never fires. Unit: ms since the Unix epoch. */
export type NextCron = (cron: string, timeZone: string, afterMs: number) => number;
