import { monotonicMs } from "./deadline.ts";

/** Where time comes from, so that tests can turn it by hand. */
export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Calls `tick` about every `periodMs` until the returned function is called. Never holds the process. */
  every(periodMs: number, tick: () => void): () => void;
  /** Calls `callback` once in about `delayMs` unless the returned function is called before. Never holds the process. */
  after(delayMs: number, callback: () => void): () => void;
}

/** The process's own clock. */
export const systemClock: Clock = {
  now: monotonicMs,
  every(periodMs, tick) {
    const timer = setInterval(tick, periodMs);
    timer.unref();
    return () => clearInterval(timer);
  },
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
