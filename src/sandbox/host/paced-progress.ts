import { Pace } from "../../base/pace.ts";
import type { Payload } from "../../base/payload.ts";

/** Of what one run tells within this time, the coordinator hears the newest. Unit: ms. */
const PERIOD_MS = 100;

/**
 * How far a task is, as its function tells it. A function may tell it in each turn of a loop, and each report costs the coordinator a message and the shard a write: what a newer
 * one replaces within the period is not reported at all.
 */
export class PacedProgress {
  readonly #report: (progress: Payload) => void;
  readonly #pace = new Pace(PERIOD_MS, () => this.#tell());
  #newest: Payload | undefined;

  constructor(report: (progress: Payload) => void) {
    this.#report = report;
  }

  told(progress: Payload): void {
    this.#newest = progress;
    this.#pace.ask();
  }

  /** The run is about to be answered: what was not reported is, now. */
  settling(): void {
    this.#pace.stop();
    this.#tell();
  }

  #tell(): void {
    const progress = this.#newest;
    this.#newest = undefined;
    if (progress !== undefined) this.#report(progress);
  }
}
