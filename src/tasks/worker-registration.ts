import { Fault } from "../base/fault.ts";
import type { CatalogueWatch } from "./catalogue-watch.ts";
import type { RegisteredTask } from "./task-codec.ts";
import { checkQueue, DEFAULT_QUEUE } from "./task-id.ts";
import type { TaskCatalogue } from "./task-store.ts";

/** Tasks of external workers, over all of them. */
const MAX_TASKS = 10_000;
const MAX_NAME_BYTES = 128;
const MAX_ATTEMPTS = 1000;

export interface WorkerRegistrationParts {
  readonly catalogue: TaskCatalogue;
  readonly watch: Pick<CatalogueWatch, "view">;
  /** Has every node that can be reached read the catalogue anew: one that did not know a task would take it, and have nobody for it. Never rejects. */
  readonly refreshEverywhere: () => Promise<void>;
  readonly isLibraryTask: (name: string) => boolean;
}

/** Makes the tasks of external workers known to all nodes. They stay known when the workers are gone: tasks may be enqueued for when they come back. */
export class WorkerRegistration {
  readonly #parts: WorkerRegistrationParts;

  constructor(parts: WorkerRegistrationParts) {
    this.#parts = parts;
  }

  /** Rejects with INVALID_ARGUMENT, RESOURCE_EXHAUSTED or UNAVAILABLE. */
  async register(tasks: readonly RegisteredTask[]): Promise<void> {
    const { catalogue, watch } = this.#parts;
    const checked = tasks.map((task) => this.#checked(task));
    const known = watch.view.tasks;
    const changed = checked.filter((task) => JSON.stringify(known.get(task.name)) !== JSON.stringify(task));
    if (known.size + changed.length > MAX_TASKS) {
      throw new Fault("RESOURCE_EXHAUSTED", `external workers may have ${MAX_TASKS} tasks at most`);
    }
    if (changed.length > 0) await catalogue.putTasks(changed);
    await this.#parts.refreshEverywhere();
  }

  #checked(task: RegisteredTask): RegisteredTask {
    const { name, queue, frequencyMs, cron, attempts } = task;
    if (name === "" || !name.isWellFormed() || Buffer.byteLength(name) > MAX_NAME_BYTES) {
      throw new Fault("INVALID_ARGUMENT", `the name of a task has 1 to ${MAX_NAME_BYTES} bytes`);
    }
    if (this.#parts.isLibraryTask(name)) throw new Fault("INVALID_ARGUMENT", `task ${name} is a library's`);
    if (queue !== "") checkQueue(queue);
    if (frequencyMs > 0 || cron !== "") {
      throw new Fault("INVALID_ARGUMENT", `task ${name}: EnqueueRecurrentTask says when it recurs`);
    }
    if (attempts > MAX_ATTEMPTS) throw new Fault("INVALID_ARGUMENT", `attempts are 1 to ${MAX_ATTEMPTS}`);
    return { ...task, queue: queue || DEFAULT_QUEUE, attempts: attempts || 1, external: true };
  }
}
