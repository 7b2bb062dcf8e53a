import { monotonicMs } from "../base/deadline.ts";

/** Kinds of lines that are remembered at once. */
const MAX_KINDS = 1024;

export interface LogThrottleParts {
  /** Time between two lines of one kind. Unit: ms. */
  readonly periodMs: number;
  /** Default: the monotonic clock. Unit: ms. */
  readonly now?: () => number;
}

/** Lets through one line of a kind in each period, so that who repeats a failure cannot fill the log with it. */
export class LogThrottle {
  readonly #periodMs: number;
  readonly #now: () => number;
  readonly #kinds = new Map<string, { nextMs: number; left: number }>();

  constructor({ periodMs, now = monotonicMs }: LogThrottleParts) {
    this.#periodMs = periodMs;
    this.#now = now;
  }

  /** How many lines of the kind were left out since the last one; undefined: this one is left out, too. */
  pass(kind: string): number | undefined {
    const nowMs = this.#now();
    const known = this.#kinds.get(kind);
    if (known !== undefined && nowMs < known.nextMs) {
      known.left++;
      return undefined;
    }
    if (this.#kinds.size >= MAX_KINDS) this.#kinds.clear();
    this.#kinds.set(kind, { nextMs: nowMs + this.#periodMs, left: 0 });
    return known?.left ?? 0;
  }
}
