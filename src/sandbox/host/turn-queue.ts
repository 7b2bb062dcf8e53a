/** How long library code may run before the event loop gets a turn, for cancels and for results to leave. Unit: ms. */
const SLICE_MS = 0.5;

/** Tasks that have run are forgotten at once by so many: a library that always has some waiting would otherwise keep all it ever had. */
const FORGET_TASKS = 1024;

/** What one of a library's runs does next. */
export interface Task {
  /** Must not throw. */
  run(): void;
  /** Whether it may run in the midst of another task of the library. */
  mayRunMeanwhile(): boolean;
}

/** The tasks of one library that wait, in order. */
interface Lane {
  readonly tasks: Task[];
  next: number;
  /** What its tasks have taken, on the scale that all lanes share. */
  usedMs: number;
}

/**
 * Runs tasks one after the other, and lets the event loop have its turn between slices of them. A library's tasks run in order; between
 * libraries the one that has had the least time is next, so that many slow calls of one hold up another by one of them and not by all.
 */
export class TurnQueue {
  readonly #clock: () => number;
  /** Of the libraries that have tasks. */
  readonly #lanes = new Map<string, Lane>();
  /** What the lane had used that had its turn last: where a lane starts that comes new, or comes back. */
  #usedMs = 0;
  #isScheduled = false;
  /** When the event loop is to have its turn. */
  #sliceEndMs = 0;

  /** `clock` is in milliseconds. */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Runs the task now, where none waits. */
  push(library: string, task: Task): void {
    const lane = this.#lanes.get(library);
    if (lane) lane.tasks.push(task);
    else this.#lanes.set(library, { tasks: [task], next: 0, usedMs: this.#usedMs });
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#slice();
  }

  /**
   * While a task of the library waits: runs the library's next one in its midst. False where none waits, where it may not, and where it is the
   * event loop's turn: whoever waits below it must get to go on.
   */
  runMeanwhile(library: string): boolean {
    const lane = this.#lanes.get(library);
    if (!lane?.tasks[lane.next]?.mayRunMeanwhile() || this.#clock() >= this.#sliceEndMs) return false;
    this.#runFirst(library, lane);
    return true;
  }

  readonly #slice = (): void => {
    let now = this.#clock();
    this.#sliceEndMs = now + SLICE_MS;
    do {
      const startedMs = now;
      const lane = this.#runNext();
      now = this.#clock();
      if (lane) lane.usedMs += now - startedMs;
    } while (this.#lanes.size > 0 && now < this.#sliceEndMs);
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
    this.#runFirst(library, lane);
    return lane;
  }

  #runFirst(library: string, lane: Lane): void {
    const task = lane.tasks[lane.next++];
    if (lane.next === lane.tasks.length) this.#lanes.delete(library);
    else if (lane.next === FORGET_TASKS) lane.next -= lane.tasks.splice(0, lane.next).length;
    task?.run();
  }

  readonly #resume = (): void => {
    if (this.#lanes.size > 0) this.#slice();
    else this.#isScheduled = false;
  };
}
