import { monotonicMs } from "../../base/deadline.ts";
import type { FrameChannel } from "../frame-channel.ts";
import { encodeReport, type Report } from "../reports.ts";

/** Reports that are worth one write. */
const MAX_HELD = 32;

/** Longest a report waits for company. Unit: ms. */
const MAX_HELD_MS = 0.25;

/** Timers know no shorter one. It only matters where an isolate works on without reporting anything. Unit: ms. */
const TIMER_MS = 1;

/**
 * Holds reports for a moment while isolates work. Blocks take turns, so results come one by one; sent one by one, each would wake
 * the coordinator, and through it the caller, for a single call. A lone call waits for nothing: its isolate is idle after it.
 */
export class ReportBatch {
  readonly #channel: FrameChannel;
  #busy = 0;
  #held = 0;
  #firstMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(channel: FrameChannel) {
    this.#channel = channel;
  }

  send(report: Report): void {
    const frame = encodeReport(report);
    if (this.#busy === 0) {
      this.#channel.send(frame);
      return;
    }
    this.#channel.queue(frame);
    if (this.#held === 0) this.#firstMs = monotonicMs();
    this.#held++;
    if (this.#held >= MAX_HELD || monotonicMs() - this.#firstMs >= MAX_HELD_MS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), TIMER_MS);
  }

  /** An isolate has begun to work. */
  busy(): void {
    this.#busy++;
  }

  /** An isolate has nothing left to do. */
  idle(): void {
    this.#busy--;
    if (this.#busy === 0) this.flush();
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#held = 0;
    this.#channel.flush();
  }
}
