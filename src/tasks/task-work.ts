import { monotonicMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { boundedFaultText } from "../base/fault-text.ts";
import type { Attempt, Outcome } from "./attempt.ts";
import type { HeldTasks } from "./held-tasks.ts";
import type { Settlement } from "./settlement.ts";
import type { TaskFailed, TaskObserver } from "./task-ports.ts";
import type { Taken } from "./task-store.ts";

/** Whoever works attempts of some tasks: libraries, or external workers. */
export interface Worker {
  /** Undefined: it does not work this task, or cannot now. Never rejects. */
  begin(attempt: Attempt): Promise<Outcome> | undefined;
  /** What became of the outcome: written down, or refused. */
  settled(attempt: Attempt, fault: Fault | undefined): void;
}

export interface TaskWorkParts {
  readonly workers: readonly Worker[];
  readonly held: HeldTasks;
  readonly settlement: Settlement;
  readonly observer: TaskObserver;
  /** How often a task may begin without coming to an end. */
  readonly maxReruns: number;
  readonly failed: TaskFailed;
  /** A task has ended here, for good. */
  readonly ended: (taskId: string) => void;
}

/** A task that nobody here can work comes again after as long. Unit: ms. */
const PARK_MS = 1000;

/** Works one attempt from its hold to its settlement: the one place through which each goes. */
export class TaskWork {
  readonly #parts: TaskWorkParts;
  #processed = 0;
  #failures = 0;

  constructor(parts: TaskWorkParts) {
    this.#parts = parts;
  }

  /** Attempts that ended here, and how many of them failed. */
  get counts(): { readonly processed: number; readonly failed: number } {
    return { processed: this.#processed, failed: this.#failures };
  }

  /** `mayTakeNext` is asked once the attempt has ended: whether the next task is to come with the answer. Never rejects. */
  async work(attempt: Attempt, mayTakeNext: () => boolean): Promise<Taken | undefined> {
    const { held, observer, failed } = this.#parts;
    const { task } = attempt;
    const startedMs = monotonicMs();
    held.add(attempt);
    observer.began(Math.max(0, Date.now() - task.enqueuedAtMs - task.delayMs) / 1000);
    let worker: Worker | undefined;
    try {
      const begun = this.#begin(attempt);
      worker = begun.worker;
      const outcome = await begun.outcome;
      const next = await this.#settle(attempt, outcome, mayTakeNext);
      worker?.settled(attempt, undefined);
      if (outcome.kind !== "returned") this.#count(outcome, (monotonicMs() - startedMs) / 1000);
      return next;
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (fault.code !== "TASK_NOT_HELD") failed("what became of a task was not written down", fault);
      worker?.settled(attempt, fault);
      return undefined;
    } finally {
      held.delete(attempt);
    }
  }

  /** Hands an attempt back that nobody has begun. Never rejects. */
  async refuse(attempt: Attempt): Promise<undefined> {
    await this.#parts.settlement.handBack(attempt, 0, false).catch((cause: unknown) => {
      this.#parts.failed("a task could not be handed back", cause);
    });
  }

  #begin(attempt: Attempt): { readonly worker: Worker | undefined; readonly outcome: Promise<Outcome> | Outcome } {
    const { task } = attempt;
    const reruns = task.fence - task.attemptsMade - 1;
    if (task.refusal !== undefined || reruns > this.#parts.maxReruns) {
      const error = task.refusal ?? `it began ${reruns} times without coming to an end`;
      return { worker: undefined, outcome: { kind: "failed", error, final: true } };
    }
    for (const worker of this.#parts.workers) {
      const outcome = worker.begin(attempt);
      if (outcome) return { worker, outcome };
    }
    return { worker: undefined, outcome: { kind: "returned", cause: "not-begun", delayMs: PARK_MS } };
  }

  async #settle(attempt: Attempt, outcome: Outcome, mayTakeNext: () => boolean): Promise<Taken | undefined> {
    const { settlement, observer, ended } = this.#parts;
    switch (outcome.kind) {
      case "completed": {
        const next = await settlement.complete(attempt, outcome.result, mayTakeNext());
        ended(attempt.id);
        return next;
      }
      case "failed":
        await settlement.fail(attempt, boundedFaultText(outcome.error), outcome.final);
        ended(attempt.id);
        return undefined;
      case "returned":
        await settlement.handBack(attempt, outcome.delayMs, outcome.cause !== "not-begun");
        if (outcome.cause !== "not-begun" && outcome.cause !== "released") observer.rerun(outcome.cause);
        return undefined;
    }
  }

  #count(outcome: Outcome, seconds: number): void {
    this.#processed++;
    if (outcome.kind === "failed") this.#failures++;
    this.#parts.observer.ended(outcome.kind === "failed" ? "TASK_FAILED" : "OK", seconds);
  }
}
