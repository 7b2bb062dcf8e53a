import type { Logger } from "../telemetry/logger.ts";

export interface LevelWatchParts {
  /** Resolves once the libraries are as level as they were anywhere when it was called; rejects while that cannot be known. */
  readonly level: () => Promise<void>;
  /** Told of each change of `isLevel`, before anything else happens. */
  readonly changed: () => void;
  readonly logger: Logger;
}

/** How often the libraries are levelled, for a load that this coordinator was not told of. Unit: ms. */
const LEVEL_INTERVAL_MS = 5000;
/** The same while they are not level, which is what a coordinator that starts waits for. Unit: ms. */
const RETRY_INTERVAL_MS = 500;

/** Keeps the libraries level with the cluster's, and knows whether they are: only then may the coordinator serve. */
export class LevelWatch {
  readonly #parts: LevelWatchParts;
  #isLevel = false;
  /** What began before the last of them ends none. */
  #doubts = 0;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: LevelWatchParts) {
    this.#parts = parts;
  }

  get isLevel(): boolean {
    return this.#isLevel;
  }

  start(): void {
    this.#again();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** Loads may have been missed: not level until it is known again. */
  doubt(): void {
    this.#doubts++;
    this.#settle(false);
    void this.now();
  }

  /** Levels them now. Never rejects. */
  async now(): Promise<void> {
    const doubts = this.#doubts;
    try {
      await this.#parts.level();
      if (doubts === this.#doubts) this.#settle(true);
    } catch (error) {
      this.#parts.logger.debug({ error }, "it is not known whether the libraries are level with the cluster's");
    } finally {
      this.#again();
    }
  }

  #settle(isLevel: boolean): void {
    if (isLevel === this.#isLevel) return;
    this.#isLevel = isLevel;
    this.#parts.changed();
  }

  #again(): void {
    clearTimeout(this.#timer);
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.now(), this.#isLevel ? LEVEL_INTERVAL_MS : RETRY_INTERVAL_MS);
    this.#timer.unref();
  }
}
