import { type BackoffLimits, backoffMs } from "../base/backoff.ts";
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { Timer, type TimerWheel } from "../base/timer-wheel.ts";
import { type InterestChange, type InterestSource, interestChanges } from "./interest-change.ts";
import { MAX_NODE_TYPES } from "./message-types.ts";
import { Waiters } from "./waiters.ts";

/** Waits before a peer that failed is told again. */
const RETRY: BackoffLimits = { initialMs: 50, maxMs: 1000 };

export interface InterestSyncParts {
  readonly source: InterestSource;
  /** Tells the peer. Rejects where it cannot be reached, or refuses. */
  readonly send: (change: InterestChange) => Promise<unknown>;
  readonly isLinked: () => boolean;
  readonly wheel: TimerWheel;
  /** There is no link to tell it by, or nobody at its end who understands. */
  readonly ended: () => void;
}

/**
 * Keeps one peer told of the types that have subscribers here: all of them when a link to it opens, then what has changed. One round of requests is under way at a time, so that they arrive in
 * order, and what changes meanwhile goes together into the next one. After a failure nobody knows what the peer has: it is told everything again.
 */
export class InterestSync {
  readonly #parts: InterestSyncParts;
  /** Each for as many changes as there were when it began to wait. */
  readonly #waiters: Waiters<number>;
  #untold: "everything" | Set<string> = "everything";
  #state: "idle" | "telling" | Timer = "idle";
  /** Changes so far. */
  #changes = 0;
  /** Number of the round under way: one of a link that was replaced meanwhile counts for nothing. */
  #round = 0;
  #failures = 0;

  constructor(parts: InterestSyncParts) {
    this.#parts = parts;
    this.#waiters = new Waiters(parts.wheel);
  }

  /** A link to the peer has opened: whoever is at its end may know nothing. */
  linkOpened(): void {
    this.#untold = "everything";
    this.#failures = 0;
    this.#tell();
  }

  changed(types: readonly string[]): void {
    this.#changes++;
    if (this.#untold !== "everything") {
      for (const messageType of types) this.#untold.add(messageType);
      if (this.#untold.size > MAX_NODE_TYPES) this.#untold = "everything";
    }
    if (this.#state === "idle") this.#tell();
  }

  /** Resolves once the peer knows how it is now, or is linked no longer; at the deadline all the same. */
  told(deadline: Deadline): Promise<void> {
    if (this.#state === "idle") return Promise.resolve();
    return this.#waiters.wait(this.#changes, deadline);
  }

  #tell(): void {
    if (this.#state instanceof Timer) this.#parts.wheel.disarm(this.#state);
    this.#state = "telling";
    void this.#tellRound(++this.#round);
  }

  async #tellRound(round: number): Promise<void> {
    const changes = this.#changes;
    const requests = interestChanges(this.#parts.source, this.#untold);
    this.#untold = new Set();
    let failure: Fault | undefined;
    try {
      for (const request of requests) {
        await this.#parts.send(request);
        if (round !== this.#round) return;
      }
    } catch (thrown) {
      failure = Fault.from(thrown);
    }
    if (round !== this.#round) return;
    if (failure) this.#failed(failure);
    else this.#succeeded(changes);
  }

  #succeeded(changes: number): void {
    this.#failures = 0;
    this.#waiters.settle((awaited) => awaited <= changes);
    if (this.#untold === "everything" || this.#untold.size > 0) this.#tell();
    else this.#state = "idle";
  }

  #failed({ code }: Fault): void {
    this.#untold = "everything";
    // An older release has no subscribers to tell of, and delivers nothing.
    if (code === "UNIMPLEMENTED" || !this.#parts.isLinked()) {
      this.#waiters.settle(() => true);
      this.#parts.ended();
      return;
    }
    this.#state = this.#parts.wheel.after(backoffMs(this.#failures++, RETRY), () => this.#tell());
  }
}
