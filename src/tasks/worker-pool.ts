import type { Clock } from "../base/clock.ts";
import { nextPoolSize } from "./pool-size.ts";

/** How often its size is thought over. Unit: ms. */
const SCALE_PERIOD_MS = 100;
/** Tasks that end sooner than this on average are taken ahead of the workers: the way to Redis and back would take longer than they do. Unit: ms. */
const SHORT_MS = 5;
/** One that was taken ahead and has waited so long for a worker goes back, at the next thought about the size. Unit: ms. */
const MAX_WAIT_MS = 50;
/** Share of the newest task in the average. */
const WEIGHT = 0.05;

export interface WorkerPoolParts {
  readonly min: number;
  readonly max: number;
  readonly clock: Clock;
  /** Told that there is room for another task. */
  readonly grown: () => void;
}

interface Waiter {
  readonly start: (isBegun: boolean) => void;
  readonly sinceMs: number;
}

/**
 * The workers of library functions on this node: how many there are, between two bounds and by load, and how many are at work. While tasks are short, as many again are taken ahead and wait here, so that no worker waits for Redis; one
 * that would wait long goes back.
 */
export class WorkerPool {
  readonly #parts: WorkerPoolParts;
  readonly #waiting: Waiter[] = [];
  #size: number;
  #busy = 0;
  #isWanting = false;
  #meanMs = SHORT_MS;
  #stop: (() => void) | undefined;

  constructor(parts: WorkerPoolParts) {
    this.#parts = parts;
    this.#size = parts.min;
  }

  get size(): number {
    return this.#size;
  }

  get max(): number {
    return this.#parts.max;
  }

  get busy(): number {
    return this.#busy;
  }

  /** How many tasks more may be taken. Never negative: it may have shrunk below what is at work. */
  get room(): number {
    const ahead = this.#meanMs < SHORT_MS ? this.#size : 0;
    return Math.max(0, this.#size + ahead - this.#busy - this.#waiting.length);
  }

  start(): void {
    const { clock } = this.#parts;
    let lookedAtMs = clock.now();
    this.#stop = clock.every(SCALE_PERIOD_MS, () => {
      const lagMs = clock.now() - lookedAtMs - SCALE_PERIOD_MS;
      lookedAtMs = clock.now();
      this.#scale(lagMs);
      this.#returnLate(lookedAtMs);
    });
  }

  /** Those that wait do not begin any more. */
  stop(): void {
    this.#stop?.();
    this.release();
  }

  /** A task waits, and there was no worker for it. */
  want(): void {
    this.#isWanting = true;
  }

  /** Takes a worker, or waits for one. False: none became free in time, and the task did not begin. */
  enter(): true | Promise<boolean> {
    if (this.#busy < this.#size) {
      this.#busy++;
      return true;
    }
    this.#isWanting = true;
    return new Promise((start) => this.#waiting.push({ start, sinceMs: this.#parts.clock.now() }));
  }

  /** The worker of a task that took so long is free. */
  leave(tookMs: number): void {
    this.#meanMs += WEIGHT * (tookMs - this.#meanMs);
    this.#busy--;
    this.#begin();
  }

  /** None of those that wait begins. */
  release(): void {
    for (const { start } of this.#waiting.splice(0)) start(false);
  }

  #begin(): void {
    while (this.#busy < this.#size) {
      const next = this.#waiting.shift();
      if (!next) return;
      this.#busy++;
      next.start(true);
    }
  }

  /** What the workers are at takes long after all: nothing is taken ahead until it has ended. */
  #returnLate(nowMs: number): void {
    const [first] = this.#waiting;
    if (!first || nowMs - first.sinceMs < MAX_WAIT_MS) return;
    this.#meanMs = Math.max(this.#meanMs, SHORT_MS / WEIGHT);
    this.release();
  }

  #scale(lagMs: number): void {
    const { min, max, grown } = this.#parts;
    const before = this.#size;
    this.#size = nextPoolSize({ size: before, min, max, busy: this.#busy, isWanting: this.#isWanting, lagMs });
    this.#isWanting = false;
    if (this.#size <= before) return;
    this.#begin();
    grown();
  }
}
