import type { Deadline } from "../../base/deadline.ts";
import type { Run } from "../../functions/sandbox-port.ts";

/** A run that this process was told to do and has not answered. */
export class HostRun {
  readonly id: number;
  readonly run: Run;
  readonly deadline: Deadline;
  /** Its answer was given, or is no longer wanted. */
  isOver = false;
  /** A command that may write was sent: failing now is no longer as if nothing had been done. */
  mayHaveWritten = false;
  /** Its block that used Redis last, and since when. */
  block: { readonly id: number; readonly sinceMs: number } | undefined;

  constructor(id: number, run: Run, deadline: Deadline) {
    this.id = id;
    this.run = run;
    this.deadline = deadline;
  }
}
