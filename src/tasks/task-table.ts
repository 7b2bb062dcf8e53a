import type { RegisteredTask } from "./task-codec.ts";
import type { CatalogueView } from "./task-store.ts";

/** Longest that a node's word counts of which workers are connected to it. Unit: ms. */
export const NODE_TIMEOUT_MS = 6000;

export interface TaskTableParts {
  /** Of libraries, by name. */
  readonly library: (task: string) => RegisteredTask | undefined;
  readonly libraryTasks: () => Iterable<RegisteredTask>;
  readonly view: () => CatalogueView;
}

/** The tasks that can be enqueued. A library's counts before one of external workers of the same name. */
export class TaskTable {
  readonly #parts: TaskTableParts;

  constructor(parts: TaskTableParts) {
    this.#parts = parts;
  }

  find(task: string): RegisteredTask | undefined {
    return this.#parts.library(task) ?? this.#parts.view().tasks.get(task);
  }

  isLibraryTask(task: string): boolean {
    return this.#parts.library(task) !== undefined;
  }

  all(): readonly RegisteredTask[] {
    const { library, libraryTasks, view } = this.#parts;
    const external = [...view().tasks.values()].filter(({ name }) => !library(name));
    return [...libraryTasks(), ...external].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Tasks of external workers that some worker, on any node, is there for. */
  attended(): ReadonlySet<string> {
    const { nodes, atMs } = this.#parts.view();
    const attended = new Set<string>();
    for (const { seenAtMs, workers } of nodes.values()) {
      if (atMs - seenAtMs > NODE_TIMEOUT_MS) continue;
      for (const { tasks } of workers) for (const task of tasks) attended.add(task);
    }
    return attended;
  }
}
