import type { Clock } from "../base/clock.ts";
import { Pace } from "../base/pace.ts";
import type { ExternalWorkers } from "./external-workers.ts";
import type { TaskFailed } from "./task-ports.ts";
import type { TaskStore } from "./task-store.ts";
import type { TaskWork } from "./task-work.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** How often a node tells of its workers, changed or not. Unit: ms. */
const PERIOD_MS = 2000;
/** However fast workers come and go, it tells no more often than this. Unit: ms. */
const CHANGE_PERIOD_MS = 100;

export interface PresenceParts {
  readonly store: TaskStore;
  readonly pool: WorkerPool;
  readonly external: ExternalWorkers;
  readonly work: TaskWork;
  readonly runId: string;
  readonly nodeName: () => string;
  /** Whether there is anything to tell: where nothing has to do with tasks, Redis need not hear of it. */
  readonly isNeeded: () => boolean;
  readonly clock: Clock;
  readonly failed: TaskFailed;
}

/** Tells all nodes who works here. */
export class Presence {
  readonly #parts: PresenceParts;
  readonly #changes = new Pace(CHANGE_PERIOD_MS, () => void this.announce());
  #stop: (() => void) | undefined;
  #isStopped = false;

  constructor(parts: PresenceParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#stop = this.#parts.clock.every(PERIOD_MS, () => void this.announce());
  }

  /** Somebody has come or gone. */
  changed(): void {
    if (!this.#isStopped) this.#changes.ask();
  }

  /** Never rejects. */
  async announce(): Promise<void> {
    const { store, pool, external, work, runId, nodeName, isNeeded, failed } = this.#parts;
    if (this.#isStopped || !isNeeded()) return;
    const { busy, size, max } = pool;
    const record = { node: nodeName(), busy, size, max, ...work.counts, workers: external.describe() };
    await store.catalogue
      .announce(runId, record)
      .catch((cause: unknown) => failed("who works here could not be told", cause));
  }

  /** Nobody works here any more. Never rejects. */
  async close(): Promise<void> {
    this.#isStopped = true;
    this.#stop?.();
    this.#changes.stop();
    const { store, runId, isNeeded } = this.#parts;
    if (isNeeded()) await store.catalogue.forgetNode(runId).catch(() => undefined);
  }
}
