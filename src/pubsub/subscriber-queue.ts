import type { QueueBudget } from "../base/queue-budget.ts";

/** What one subscriber's queue may hold. */
export interface QueueLimits {
  readonly maxMessages: number;
  readonly maxBytes: number;
}

interface Entry {
  readonly event: Uint8Array;
  /** How many were dropped between the one before and this one. */
  missedBefore: number;
  next: Entry | undefined;
}

/** What comes next out of a queue. */
export type Taken = { readonly event: Uint8Array } | { readonly missed: number };

/**
 * What waits for one subscriber, in order. What finds no room is dropped and counted, and the count comes out in its place: what is taken, together with what is said to be missed,
 * is exactly what was pushed. An empty queue takes any message: so the largest ones come through, and subscribers that have used up the node's budget cost nothing to those that keep up.
 */
export class SubscriberQueue {
  readonly #limits: QueueLimits;
  readonly #budget: QueueBudget;
  #first: Entry | undefined;
  #last: Entry | undefined;
  #messages = 0;
  #bytes = 0;
  /** Dropped behind the last entry. */
  #missed = 0;

  constructor(limits: QueueLimits, budget: QueueBudget) {
    this.#limits = limits;
    this.#budget = budget;
  }

  /** False: it was dropped. */
  push(event: Uint8Array): boolean {
    if (!this.#hasRoom(event.length)) {
      this.miss();
      return false;
    }
    const entry: Entry = { event, missedBefore: this.#missed, next: undefined };
    this.#missed = 0;
    if (this.#last) this.#last.next = entry;
    else this.#first = entry;
    this.#last = entry;
    this.#messages++;
    this.#bytes += event.length;
    this.#budget.take(event.length);
    return true;
  }

  /** One message was dropped in this place. */
  miss(): void {
    this.#missed++;
  }

  /** Undefined: nothing waits. */
  take(): Taken | undefined {
    const entry = this.#first;
    const missed = entry?.missedBefore ?? this.#missed;
    if (missed > 0) {
      if (entry) entry.missedBefore = 0;
      else this.#missed = 0;
      return { missed };
    }
    if (!entry) return undefined;
    this.#first = entry.next;
    if (!this.#first) this.#last = undefined;
    this.#messages--;
    this.#bytes -= entry.event.length;
    this.#budget.give(entry.event.length);
    return { event: entry.event };
  }

  /** Drops all that waits. */
  clear(): void {
    this.#budget.give(this.#bytes);
    this.#first = undefined;
    this.#last = undefined;
    this.#messages = 0;
    this.#bytes = 0;
    this.#missed = 0;
  }

  #hasRoom(bytes: number): boolean {
    if (!this.#first) return true;
    const { maxMessages, maxBytes } = this.#limits;
    return this.#messages < maxMessages && this.#bytes + bytes <= maxBytes && this.#budget.hasRoom(bytes);
  }
}
