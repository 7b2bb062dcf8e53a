import type { Clock } from "../base/clock.ts";
import { coalesce } from "../base/coalesce.ts";
import type { CatalogueView, TaskCatalogue } from "./task-store.ts";

/** How often it is read. Unit: ms. */
const PERIOD_MS = 1000;

const NOTHING: CatalogueView = {
  queues: new Map(),
  tasks: new Map(),
  recurrences: new Map(),
  nodes: new Map(),
  atMs: 0,
};

export interface CatalogueWatchParts {
  readonly catalogue: TaskCatalogue;
  readonly clock: Clock;
  readonly changed: () => void;
  readonly failed: (cause: unknown) => void;
}

/** What all nodes know of tasks, as it was read last. */
export class CatalogueWatch {
  readonly #parts: CatalogueWatchParts;
  #view = NOTHING;
  #stop: (() => void) | undefined;
  /** Reads it anew, for everybody who asks meanwhile. Rejects with UNAVAILABLE. */
  readonly refresh: () => Promise<void>;

  constructor(parts: CatalogueWatchParts) {
    this.#parts = parts;
    this.refresh = coalesce(() => this.#read());
  }

  get view(): CatalogueView {
    return this.#view;
  }

  start(): void {
    const look = (): void => void this.refresh().catch(this.#parts.failed);
    this.#stop = this.#parts.clock.every(PERIOD_MS, look);
    look();
  }

  stop(): void {
    this.#stop?.();
  }

  async #read(): Promise<void> {
    this.#view = await this.#parts.catalogue.read();
    this.#parts.changed();
  }
}
