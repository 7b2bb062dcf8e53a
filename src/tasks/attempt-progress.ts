import type { Attempt } from "./attempt.ts";
import type { TaskFailed } from "./task-ports.ts";

/** Writes down how far an attempt is, one write after the other: of what is told during one, the newest comes next. */
export class AttemptProgress {
  readonly #attempt: Attempt;
  readonly #failed: TaskFailed;
  #newest: Uint8Array | undefined;
  #writing: Promise<void> | undefined;

  constructor(attempt: Attempt, failed: TaskFailed) {
    this.#attempt = attempt;
    this.#failed = failed;
  }

  /** Resolves once all of it is written down, or was given up; undefined: it is. Never rejects. */
  get writing(): Promise<void> | undefined {
    return this.#writing;
  }

  /** To no purpose where the task is no longer held: another attempt may have told its own. */
  told(progress: Uint8Array): void {
    if (this.#attempt.aborted) return;
    this.#newest = progress;
    this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    const { partition, task } = this.#attempt;
    while (this.#newest !== undefined && !this.#attempt.aborted) {
      const progress = this.#newest;
      this.#newest = undefined;
      try {
        await partition.progress(task.key, progress);
      } catch (cause) {
        this.#failed("the progress of a task could not be written down", cause);
      }
    }
    this.#writing = undefined;
  }
}
