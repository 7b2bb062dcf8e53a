import type { CallContext } from "../base/call-context.ts";
import { deadlineIn } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { type Attempt, type Outcome, outcomeOf } from "./attempt.ts";
import { workSurrounded } from "./middleware.ts";
import type { TaskFunctions } from "./task-ports.ts";
import type { NodeRecord } from "./task-store.ts";
import type { TaskTable } from "./task-table.ts";
import type { Worker } from "./task-work.ts";
import type { WorkerSession } from "./worker-session.ts";

export interface ExternalWorkersParts {
  readonly table: TaskTable;
  readonly functions: TaskFunctions;
  /** Longest that an attempt may take whose task names no other, as far as libraries run something around it. Unit: ms. */
  readonly timeoutMs: number;
}

/** The external workers that are connected to this node: a task goes to the one that would take most. */
export class ExternalWorkers implements Worker {
  readonly #parts: ExternalWorkersParts;
  readonly #sessions = new Set<WorkerSession>();
  readonly #byAttempt = new WeakMap<Attempt, WorkerSession>();

  constructor(parts: ExternalWorkersParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#sessions.size;
  }

  add(session: WorkerSession): void {
    this.#sessions.add(session);
  }

  delete(session: WorkerSession): void {
    this.#sessions.delete(session);
  }

  /** Tasks of a name that they would take now; undefined: none of them works it. */
  credit(task: string): number | undefined {
    let credit: number | undefined;
    for (const session of this.#sessions) if (session.tasks.has(task)) credit = (credit ?? 0) + session.credit;
    return credit;
  }

  begin(attempt: Attempt): Promise<Outcome> | undefined {
    const { name } = attempt.task;
    let best: WorkerSession | undefined;
    for (const session of this.#sessions) {
      if (session.tasks.has(name) && session.credit > (best?.credit ?? 0)) best = session;
    }
    if (!best) return undefined;
    this.#byAttempt.set(attempt, best);
    best.reserve();
    return this.#run(attempt, best);
  }

  async #run(attempt: Attempt, session: WorkerSession): Promise<Outcome> {
    const { table, functions, timeoutMs } = this.#parts;
    const ownMs = table.find(attempt.task.name)?.timeoutMs ?? 0;
    const context: CallContext = { deadline: deadlineIn(ownMs || timeoutMs), signal: attempt, depth: 0 };
    let isGiven = false;
    try {
      return await workSurrounded(functions, attempt, attempt.info(), context, (args) => {
        isGiven = true;
        return session.begin(attempt, args, ownMs);
      });
    } catch (thrown) {
      return outcomeOf(Fault.from(thrown), attempt.aborted);
    } finally {
      if (!isGiven) session.unreserve();
    }
  }

  settled(attempt: Attempt, fault: Fault | undefined): void {
    this.#byAttempt.get(attempt)?.settled(attempt, fault);
  }

  describe(): NodeRecord["workers"] {
    return [...this.#sessions].map(({ id, tasks, holding, credit }) => ({ id, tasks: [...tasks], holding, credit }));
  }

  goAway(reason: string): void {
    for (const session of this.#sessions) session.goAway(reason);
  }
}
