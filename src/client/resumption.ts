import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "../base/backoff.ts";
import { monotonicMs } from "../base/deadline.ts";
import { Fault, type FaultCode } from "../base/fault.ts";

export interface ResumptionParts {
  /** Tries once. Rejects with a Fault. */
  readonly attempt: () => Promise<void>;
  /** How long the coordinators keep the connection. Unit: ms. */
  readonly graceMs: number;
}

const BACKOFF = { initialMs: 20, maxMs: 1000 };

/** What says that a connection cannot be resumed any more. CANCELLED: it was destroyed, or somebody else has resumed it, or this client was closed. */
const FINAL: ReadonlySet<FaultCode> = new Set<FaultCode>([
  "UNKNOWN_CONNECTION",
  "UNAUTHENTICATED",
  "INVALID_ARGUMENT",
  "METHOD_EXISTS",
  "CANCELLED",
]);

/** Whether no further attempt to resume a connection can succeed. */
export function isFinal({ code }: Fault): boolean {
  return FINAL.has(code);
}

/** The attempts to resume a connection that has lost its link, until one succeeds, none can any more, or the grace time must be over. */
export class Resumption {
  readonly #parts: ResumptionParts;
  readonly #stopped = new AbortController();

  constructor(parts: ResumptionParts) {
    this.#parts = parts;
  }

  /** Resolves with what the last attempt failed with; with undefined where it succeeded, or once no attempt is under way after `stop`. Never rejects. */
  async run(): Promise<Fault | undefined> {
    const { attempt, graceMs } = this.#parts;
    const { signal } = this.#stopped;
    const endMs = monotonicMs() + graceMs;
    let last = new Fault("UNAVAILABLE", "the connection was lost");
    for (let count = 0; !signal.aborted && monotonicMs() < endMs; count++) {
      try {
        await attempt();
        return undefined;
      } catch (thrown) {
        last = Fault.from(thrown);
        if (isFinal(last)) break;
      }
      await delay(backoffMs(count, BACKOFF), undefined, { signal }).catch(() => undefined);
    }
    return signal.aborted ? undefined : last;
  }

  /** Begins no further attempt. Idempotent. */
  stop(): void {
    this.#stopped.abort();
  }
}
