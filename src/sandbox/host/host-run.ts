import type { Deadline } from "../../base/deadline.ts";
import type { Run } from "../../functions/sandbox-port.ts";
import type { BlockTicket } from "../block-lock.ts";

/** A run that this process was told to do and has not answered. */
export class HostRun {
  readonly id: number;
  readonly run: Run;
  readonly deadline: Deadline;
  /** Its answer was given, or is no longer wanted. */
  isOver = false;
  /** A command that may write was sent: failing now is no longer as if nothing had been done. */
  mayHaveWritten = false;
  /** The block that holds or awaits the shard. */
  block: { readonly id: number; readonly ticket: BlockTicket } | undefined;

  constructor(id: number, run: Run, deadline: Deadline) {
    this.id = id;
    this.run = run;
    this.deadline = deadline;
  }

  /** Lets the shard go, if the run holds it or waits for it. */
  releaseBlock(): void {
    this.block?.ticket.release();
    this.block = undefined;
  }
}
