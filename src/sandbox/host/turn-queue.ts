import { monotonicMs } from "../../base/deadline.ts";

/** How long library code may run before the event loop gets a turn, for cancels and for results to leave. Unit: ms. */
const SLICE_MS = 0.5;

/** Runs tasks one after the other, in order, and lets the event loop have its turn between slices of them. */
export class TurnQueue {
  #tasks: (() => void)[] = [];
  #next = 0;
  #isScheduled = false;

  /** Runs the task now, where none waits; a task must not throw. */
  push(task: () => void): void {
    this.#tasks.push(task);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#slice();
  }

  readonly #slice = (): void => {
    const endMs = monotonicMs() + SLICE_MS;
    do this.#tasks[this.#next++]?.();
    while (this.#next < this.#tasks.length && monotonicMs() < endMs);
    if (this.#next === this.#tasks.length) {
      this.#tasks = [];
      this.#next = 0;
    }
    this.#isScheduled = true;
    setImmediate(this.#resume);
  };

  readonly #resume = (): void => {
    if (this.#tasks.length > 0) this.#slice();
    else this.#isScheduled = false;
  };
}
