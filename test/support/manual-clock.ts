import type { Clock } from "../../src/base/clock.ts";

/** Time that stands still until a test advances it. */
export class ManualClock implements Clock {
  #nowMs: number;
  readonly #timers = new Set<ManualTimer>();

  constructor(nowMs = 1000) {
    this.#nowMs = nowMs;
  }

  /** Intervals that run and single timers that wait. */
  get timers(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#nowMs;
  }

  every(periodMs: number, tick: () => void): () => void {
    return this.#add({ call: tick, periodMs, nextMs: this.#nowMs + periodMs });
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.#add({ call: callback, periodMs: undefined, nextMs: this.#nowMs + Math.max(0, delayMs) });
  }

  /** Goes on by `ms`, with all that falls due in that time. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const next = [...this.#timers].toSorted((a, b) => a.nextMs - b.nextMs)[0];
      if (next === undefined || next.nextMs > endMs) break;
      this.#nowMs = next.nextMs;
      this.#call(next);
    }
    this.#nowMs = endMs;
  }

  /** Jumps by `ms` with one call of each timer that fell due, as after a stall of the process. */
  stall(ms: number): void {
    this.#nowMs += ms;
    for (const timer of [...this.#timers]) if (timer.nextMs <= this.#nowMs) this.#call(timer);
  }

  #add(timer: ManualTimer): () => void {
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  #call(timer: ManualTimer): void {
    if (timer.periodMs === undefined) this.#timers.delete(timer);
    else timer.nextMs = this.#nowMs + timer.periodMs;
    timer.call();
  }
}

interface ManualTimer {
  readonly call: () => void;
  /** Undefined: it is called once. */
  readonly periodMs: number | undefined;
  nextMs: number;
}
