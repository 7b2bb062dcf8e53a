/** Deaths that are looked at together. Unit: ms. */
const PERIOD_MS = 30_000;
/** So many for each instance that is wanted are too many. */
const TOLERATED = 2;

/** The deaths of the last 30 s: instances that keep dying are not helped by being started again. */
export class Deaths {
  #times: readonly number[] = [];

  /** Notes one among `expected` instances. True where it is one too many. */
  note(nowMs: number, expected: number): boolean {
    this.#times = [...this.#times, nowMs].filter((time) => time > nowMs - PERIOD_MS);
    return this.#times.length > TOLERATED * expected;
  }

  /** For the message that says so. */
  get summary(): string {
    return `${this.#times.length} deaths within ${PERIOD_MS / 1000} s`;
  }
}
