import { availableParallelism } from "node:os";
import { monotonicMs } from "../../base/deadline.ts";

/** Somewhat more than a command's round trip over loopback, and more than an isolate takes to say what comes next. */
const AWAKE_MS = 0.1;

/**
 * Keeps the event loop turning while a block waits for its command. A block's command wakes four threads one after the other, two of
 * them this loop's; polling instead of sleeping for a moment halves what `client.call` costs (180 us to 90 us on two cores).
 * Bounded, so that a slow command costs no more than this moment, and not done where there is one core only.
 */
export class Wakefulness {
  readonly #awakeMs = availableParallelism() > 1 ? AWAKE_MS : 0;
  #untilMs = 0;
  #isTurning = false;

  /**
   * Also makes up for a trap: isolated-vm calls us from outside of Node's callback scopes, after which nothing runs what was put off
   * with process.nextTick, as a socket's corked writes are. An immediate does.
   */
  prolong(): void {
    this.#untilMs = monotonicMs() + this.#awakeMs;
    if (this.#isTurning) return;
    this.#isTurning = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#isTurning = monotonicMs() < this.#untilMs;
    if (this.#isTurning) setImmediate(this.#turn);
  };
}
