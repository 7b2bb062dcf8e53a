import { monotonicMs } from "../../base/deadline.ts";

/** How long library code may run before the event loop gets a turn, for cancels and for results to leave. Unit: ms. */
const SLICE_MS = 0.5;

/** Tasks that have run are forgotten at once by so many: a library that always has some waiting would otherwise keep all it ever had. */
const FORGET_TASKS = 1024;

/** The tasks of one library that wait, in order. */
interface Lane {
  readonly tasks: (() => void)[];
  next: number;
  /** What its tasks have taken, on the scale that all lanes share. */
  usedMs: number;
}

/**
 * Runs tasks one after the other, and lets the event loop have its turn between slices of them. A library's tasks run in order; between
 * libraries the one that has had the least time is next, so that many slow calls of one hold up another by one of them and not by all.
 */
export class TurnQueue {
  /** Of the libraries that have tasks. */
  readonly #lanes = new Map<string, Lane>();
  /** What the lane had used that had its turn last: where a lane starts that comes new, or comes back. */
  #usedMs = 0;
  #isScheduled = false;

  /** Runs the task now, where none waits; a task must not throw. */
  push(library: string, task: () => void): void {
    const lane = this.#lanes.get(library);
    if (lane) lane.tasks.push(task);
    else this.#lanes.set(library, { tasks: [task], next: 0, usedMs: this.#usedMs });
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#slice();
  }

  readonly #slice = (): void => {
    let now = monotonicMs();
    const endMs = now + SLICE_MS;
    do {
      const startedMs = now;
      const lane = this.#runNext();
      now = monotonicMs();
      if (lane) lane.usedMs += now - startedMs;
    } while (this.#lanes.size > 0 && now < endMs);
    this.#isScheduled = true;
    setImmediate(this.#resume);
  };

  #runNext(): Lane | undefined {
    let library: string | undefined;
    let lane: Lane | undefined;
    for (const [name, candidate] of this.#lanes) {
      if (lane && candidate.usedMs >= lane.usedMs) continue;
      library = name;
      lane = candidate;
    }
    if (library === undefined || !lane) return undefined;
    this.#usedMs = lane.usedMs;
    const task = lane.tasks[lane.next++];
    if (lane.next === lane.tasks.length) this.#lanes.delete(library);
    else if (lane.next === FORGET_TASKS) lane.next -= lane.tasks.splice(0, lane.next).length;
    task?.();
    return lane;
  }

  readonly #resume = (): void => {
    if (this.#lanes.size > 0) this.#slice();
    else this.#isScheduled = false;
  };
}
