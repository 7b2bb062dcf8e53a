/** Lines that one isolate may log in a second: a limit for all would let one library take the others' lines. */
const MAX_LINES = 100;
const WINDOW_MS = 1000;

/** Lets so many lines through in a second, and says how many it did not. */
export class LogLimiter {
  readonly #now: () => number;
  #windowStartMs = Number.NEGATIVE_INFINITY;
  #lines = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The line to write; undefined: none. */
  take(text: string): string | undefined {
    const now = this.#now();
    let dropped = 0;
    if (now - this.#windowStartMs >= WINDOW_MS) {
      dropped = Math.max(0, this.#lines - MAX_LINES);
      this.#windowStartMs = now;
      this.#lines = 0;
    }
    if (++this.#lines > MAX_LINES) return undefined;
    return dropped > 0 ? `${text} (after ${dropped} lines that were dropped: too many in a second)` : text;
  }
}
