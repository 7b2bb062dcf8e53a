import type { CallContext } from "../base/call-context.ts";
import { deadlineIn, monotonicMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { type Attempt, type Outcome, outcomeOf } from "./attempt.ts";
import { AttemptProgress } from "./attempt-progress.ts";
import { workSurrounded } from "./middleware.ts";
import type { TaskFailed, TaskFunctions } from "./task-ports.ts";
import type { TaskTable } from "./task-table.ts";
import type { Worker } from "./task-work.ts";
import type { WorkerPool } from "./worker-pool.ts";

export interface LibraryWorkParts {
  readonly functions: TaskFunctions;
  readonly table: TaskTable;
  readonly pool: WorkerPool;
  /** Longest that an attempt may take whose task names no other. Unit: ms. */
  readonly timeoutMs: number;
  /** This node leaves. */
  readonly isLeaving: () => boolean;
  readonly failed: TaskFailed;
}

/** No worker became free for it: another node may have one. */
const NOT_BEGUN: Outcome = { kind: "returned", cause: "not-begun", delayMs: 0 };

/** Works tasks of libraries, one on each worker of the pool. */
export class LibraryWork implements Worker {
  readonly #parts: LibraryWorkParts;

  constructor(parts: LibraryWorkParts) {
    this.#parts = parts;
  }

  begin(attempt: Attempt): Promise<Outcome> | undefined {
    const task = this.#parts.table.find(attempt.task.name);
    if (!task || task.external) return undefined;
    const { timeoutMs } = this.#parts;
    return this.#run(attempt, task.timeoutMs > 0 ? Math.min(task.timeoutMs, timeoutMs) : timeoutMs);
  }

  settled(): void {
    // The library's function has ended already.
  }

  async #run(attempt: Attempt, timeoutMs: number): Promise<Outcome> {
    const { functions, pool, isLeaving, failed } = this.#parts;
    const entered = pool.enter();
    if (entered !== true && !(await entered)) return NOT_BEGUN;
    const { name } = attempt.task;
    const info = attempt.info();
    const progress = new AttemptProgress(attempt, failed);
    const startedMs = monotonicMs();
    const context: CallContext = { deadline: deadlineIn(timeoutMs), signal: attempt, depth: 0 };
    try {
      return await workSurrounded(functions, attempt, info, context, async (args) => {
        const result = await functions.run(name, [args, info], context, (told) => progress.told(told));
        return { kind: "completed", result };
      });
    } catch (thrown) {
      return outcomeOf(Fault.from(thrown), isLeaving() || attempt.aborted);
    } finally {
      // Before the outcome: whoever reads that finds the last progress beside it.
      await progress.writing;
      pool.leave(monotonicMs() - startedMs);
    }
  }
}
