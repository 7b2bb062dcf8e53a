import type { TaskTable } from "./task-table.ts";
import type { WorkerPool } from "./worker-pool.ts";

export interface QueueRoomParts {
  readonly table: TaskTable;
  readonly pool: WorkerPool;
  /** Tasks that external workers here would take now, by the name of the task; undefined: none here works it. */
  readonly credit: (task: string) => number | undefined;
  /** Whether this node works tasks now: one that stands by does not. */
  readonly worksTasks: () => boolean;
}

/** Whose workers a queue's next task may need. */
interface Needs {
  readonly isLibrarys: boolean;
  /** Names of the tasks of external workers. */
  readonly external: readonly string[];
}

/**
 * Whether there is a free worker here for whatever a queue has next, which nobody knows before it is taken: for each task that is registered for it. Tasks of external workers that are nowhere do not count, or they would hold up all others.
 */
export class QueueRoom {
  readonly #parts: QueueRoomParts;
  #needs = new Map<string, Needs>();

  constructor(parts: QueueRoomParts) {
    this.#parts = parts;
  }

  /** Tasks or workers have come or gone. */
  changed(): void {
    this.#needs = new Map();
  }

  /** `taking`: tasks that are on their way here, whatever they need. */
  has(queue: string, taking: number): boolean {
    const { pool, credit, worksTasks } = this.#parts;
    if (!worksTasks()) return false;
    const { isLibrarys, external } = this.#needsOf(queue);
    if (external.some((task) => (credit(task) ?? 0) <= taking)) return false;
    if (!isLibrarys || pool.room > taking) return true;
    pool.want();
    return false;
  }

  #needsOf(queue: string): Needs {
    let needs = this.#needs.get(queue);
    if (!needs) {
      const { table } = this.#parts;
      const tasks = table.all().filter((task) => task.queue === queue);
      const attended = table.attended();
      const external = tasks.filter((task) => task.external);
      needs = {
        isLibrarys: external.length === 0 || external.length < tasks.length,
        external: external
          .filter(({ name }) => attended.has(name) || this.#parts.credit(name) !== undefined)
          .map(({ name }) => name),
      };
      // With nobody for any of them anywhere there is nothing to do for this queue.
      if (!needs.isLibrarys && needs.external.length === 0)
        needs = { isLibrarys: false, external: external.map(({ name }) => name) };
      this.#needs.set(queue, needs);
    }
    return needs;
  }
}
