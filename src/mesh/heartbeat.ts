import { Timer, type TimerWheel } from "../base/timer-wheel.ts";

/** A link on which this many beats in a row brought no sign of life is lost. */
const MISSED_BEATS = 3;

export interface HeartbeatParts {
  readonly wheel: TimerWheel;
  /** Time between two beats. Unit: ms. */
  readonly periodMs: number;
  readonly beat: () => void;
  /** Nothing was heard for three beats: between three and four periods. The heartbeat has stopped. */
  readonly lost: () => void;
}

/**
 * Tells a silent link from a quiet one. It counts beats rather than time: after a stall of this process, its own timers run
 * before it reads what arrived meanwhile, and a clock would blame the other end.
 */
export class Heartbeat extends Timer {
  readonly #parts: HeartbeatParts;
  #missed = 0;

  constructor(parts: HeartbeatParts) {
    super();
    this.#parts = parts;
  }

  start(): void {
    const { wheel, periodMs } = this.#parts;
    wheel.arm(this, wheel.now() + periodMs);
  }

  stop(): void {
    this.#parts.wheel.disarm(this);
  }

  /** The other end sent something, whatever it was. */
  heard(): void {
    this.#missed = 0;
  }

  override expire(): void {
    if (this.#missed >= MISSED_BEATS) {
      this.#parts.lost();
      return;
    }
    this.#missed++;
    this.start();
    this.#parts.beat();
  }
}
