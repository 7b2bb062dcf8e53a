import type { Logger } from "../telemetry/logger.ts";

export interface LevelWatchParts {
  /** Resolves once the libraries are level; rejects while that cannot be known. */
  readonly level: () => Promise<void>;
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
    this.#isLevel = false;
    void this.now();
  }

  /** Levels them now. Never rejects. */
  async now(): Promise<void> {
    try {
      await this.#parts.level();
      this.#isLevel = true;
    } catch (error) {
      this.#parts.logger.debug({ error }, "it is not known whether the libraries are level with the cluster's");
    } finally {
      this.#again();
    }
  }

  #again(): void {
    clearTimeout(this.#timer);
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.now(), this.#isLevel ? LEVEL_INTERVAL_MS : RETRY_INTERVAL_MS);
    this.#timer.unref();
  }
}
