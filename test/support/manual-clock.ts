import type { Clock } from "../../src/base/clock.ts";

/** Time that stands still until a test advances it. */
export class ManualClock implements Clock {
  #nowMs: number;
  readonly #tickers = new Set<{ readonly periodMs: number; readonly tick: () => void; nextMs: number }>();

  constructor(nowMs = 1000) {
    this.#nowMs = nowMs;
  }

  /** Intervals that run. */
  get tickers(): number {
    return this.#tickers.size;
  }

  now(): number {
    return this.#nowMs;
  }

  every(periodMs: number, tick: () => void): () => void {
    const ticker = { periodMs, tick, nextMs: this.#nowMs + periodMs };
    this.#tickers.add(ticker);
    return () => this.#tickers.delete(ticker);
  }

  /** Goes on by `ms`, with every tick that falls into that time. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const next = [...this.#tickers].toSorted((a, b) => a.nextMs - b.nextMs)[0];
      if (next === undefined || next.nextMs > endMs) break;
      this.#nowMs = next.nextMs;
      next.nextMs += next.periodMs;
      next.tick();
    }
    this.#nowMs = endMs;
  }

  /** Jumps by `ms` with one tick at the end, as after a stall of the process. */
  stall(ms: number): void {
    this.#nowMs += ms;
    for (const ticker of [...this.#tickers]) {
      ticker.nextMs = this.#nowMs + ticker.periodMs;
      ticker.tick();
    }
  }
}
