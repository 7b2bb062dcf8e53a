import type { Clock } from "../base/clock.ts";
import { coalesce } from "../base/coalesce.ts";
import { queueOf } from "./task-id.ts";
import type { TaskIntake } from "./task-intake.ts";
import type { TaskFailed, TaskObserver } from "./task-ports.ts";

export interface TaskRecoveryParts {
  readonly intake: TaskIntake;
  readonly observer: TaskObserver;
  readonly clock: Clock;
  /** Unit: ms. */
  readonly periodMs: number;
  /** Told of each queue that got tasks again. */
  readonly enqueued: (queue: string) => void;
  readonly failed: TaskFailed;
}

/** Puts tasks back whose node is gone without a word: their leases are over. Every node looks, and Redis sees to it that they take turns. */
export class TaskRecovery {
  readonly #parts: TaskRecoveryParts;
  readonly #look: () => Promise<void>;
  #stop: (() => void) | undefined;

  constructor(parts: TaskRecoveryParts) {
    this.#parts = parts;
    this.#look = coalesce(() => this.#lookAtAll());
  }

  start(): void {
    const { clock, periodMs } = this.#parts;
    this.#stop = clock.every(periodMs, () => void this.#look());
  }

  stop(): void {
    this.#stop?.();
  }

  async #lookAtAll(): Promise<void> {
    const { intake, observer, enqueued, failed } = this.#parts;
    for (const partition of intake.partitions()) {
      try {
        const recovered = await partition.recover();
        for (const _key of recovered) observer.rerun("lease-over");
        if (recovered.length > 0) enqueued(queueOf(partition.id));
      } catch (cause) {
        failed("tasks whose leases are over could not be looked for", cause);
      }
    }
  }
}
