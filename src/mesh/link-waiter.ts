import type { Fault } from "../base/fault.ts";
import { Timer } from "../base/timer-wheel.ts";
import type { Peer } from "./method.ts";

/** Somebody who waits for a link to open, until its time is over or it is aborted. */
export class LinkWaiter extends Timer {
  readonly promise: Promise<Peer>;
  readonly resolve: (peer: Peer) => void;
  readonly reject: (fault: Fault) => void;
  readonly #expired: () => void;

  constructor(expired: () => void) {
    super();
    this.#expired = expired;
    const { promise, resolve, reject } = Promise.withResolvers<Peer>();
    this.promise = promise;
    this.resolve = resolve;
    this.reject = reject;
  }

  override expire(): void {
    this.#expired();
  }

  handleEvent(): void {
    this.#expired();
  }
}
