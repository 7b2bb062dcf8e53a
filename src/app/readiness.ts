import type { Readiness } from "../telemetry/ops-server.ts";

/** Something that has to be there before a coordinator can serve: why it cannot, or undefined where it can. */
export type Requirement = () => string | undefined;

/** How often the requirements are looked at. Unit: ms. */
const PERIOD_MS = 100;

/** Whether this coordinator can serve now. Redis being away makes it unready, never dead. */
export class ReadinessWatch {
  readonly #requirements: readonly Requirement[];
  readonly #changed: (readiness: Readiness) => void;
  #last: Readiness = { ready: false, reason: "the coordinator is starting" };
  #timer: NodeJS.Timeout | undefined;

  /** `changed` is told about each change, and about the beginning. */
  constructor(requirements: readonly Requirement[], changed: (readiness: Readiness) => void) {
    this.#requirements = requirements;
    this.#changed = changed;
  }

  current(): Readiness {
    for (const missing of this.#requirements) {
      const reason = missing();
      if (reason !== undefined) return { ready: false, reason };
    }
    return { ready: true };
  }

  start(): void {
    this.#changed(this.#last);
    this.#timer = setInterval(() => this.look(), PERIOD_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** At once: for what must be known before the next call is taken. */
  look(): void {
    const now = this.current();
    if (now.ready === this.#last.ready && now.reason === this.#last.reason) return;
    this.#last = now;
    this.#changed(now);
  }
}
