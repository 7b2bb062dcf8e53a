import { monotonicMs } from "./deadline.ts";

/** Does something as often as it is asked to, but not more than once in a period: at once where it can, else at the period's end. */
export class Pace {
  readonly #periodMs: number;
  readonly #action: () => void;
  #lastMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(periodMs: number, action: () => void) {
    this.#periodMs = periodMs;
    this.#action = action;
  }

  ask(): void {
    if (this.#timer) return;
    const waitMs = this.#lastMs + this.#periodMs - monotonicMs();
    if (waitMs <= 0) this.#act();
    else {
      this.#timer = setTimeout(() => this.#act(), waitMs);
      this.#timer.unref();
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #act(): void {
    this.stop();
    this.#lastMs = monotonicMs();
    this.#action();
  }
}
