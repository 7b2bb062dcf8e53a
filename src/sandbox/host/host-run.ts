import type { Deadline } from "../../base/deadline.ts";
import type { Run } from "../../functions/sandbox-port.ts";
import type { PacedProgress } from "./paced-progress.ts";

/** A run that this process was told to do. */
export class HostRun {
  readonly id: number;
  readonly run: Run;
  readonly deadline: Deadline;
  /** Whether its blocks are reported. */
  readonly tellsBlocks: boolean;
  /** `background`: it was answered, and background work of it goes on. `over`: also where its answer is no longer wanted. */
  state: "running" | "background" | "over" = "running";
  /** Pieces of background work that have not ended. */
  backgroundWork = 0;
  /** Whether there ever was any: then the coordinator waits to hear that the run is over. */
  hadBackgroundWork = false;
  /** A command that may write was sent, or a message: failing now is no longer as if nothing had been done. */
  mayHaveWritten = false;
  /** Of a task whose function has told any. */
  progress: PacedProgress | undefined;

  constructor(id: number, run: Run, deadline: Deadline, tellsBlocks: boolean) {
    this.id = id;
    this.run = run;
    this.deadline = deadline;
    this.tellsBlocks = tellsBlocks;
  }

  get isOver(): boolean {
    return this.state === "over";
  }
}
