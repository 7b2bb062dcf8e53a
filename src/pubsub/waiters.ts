import type { Deadline } from "../base/deadline.ts";
import { Timer, type TimerWheel } from "../base/timer-wheel.ts";

class Waiter<T> extends Timer {
  readonly what: T;
  readonly settled = Promise.withResolvers<void>();
  readonly #expired: (waiter: Waiter<T>) => void;

  constructor(what: T, expired: (waiter: Waiter<T>) => void) {
    super();
    this.what = what;
    this.#expired = expired;
  }

  override expire(): void {
    this.#expired(this);
  }
}

/** Those who wait for something to happen, each for something of its own, and until its own deadline at the latest. */
export class Waiters<T> {
  readonly #wheel: TimerWheel;
  readonly #waiting = new Set<Waiter<T>>();

  constructor(wheel: TimerWheel) {
    this.#wheel = wheel;
  }

  /** Resolves once it has happened, and at the deadline all the same. */
  wait(what: T, deadline: Deadline): Promise<void> {
    const waiter = new Waiter(what, (expired) => this.#settle(expired));
    this.#waiting.add(waiter);
    this.#wheel.arm(waiter, deadline);
    return waiter.settled.promise;
  }

  /** Ends the waiting of those for whom it has happened. */
  settle(hasHappened: (what: T) => boolean): void {
    for (const waiter of this.#waiting) if (hasHappened(waiter.what)) this.#settle(waiter);
  }

  #settle(waiter: Waiter<T>): void {
    this.#waiting.delete(waiter);
    this.#wheel.disarm(waiter);
    waiter.settled.resolve();
  }
}
