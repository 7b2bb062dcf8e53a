import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { payloadOf } from "../base/json-payload.ts";
import { awaitTaskResponse } from "./task-codec.ts";
import { parseTaskId } from "./task-id.ts";
import type { TaskStore } from "./task-store.ts";

/** A task is looked at again after a quarter of the time that it was waited for already, between these bounds. Unit: ms. */
const MIN_LOOK_MS = 2;
const MAX_LOOK_MS = 250;

const NULL = payloadOf(null);

/** Waits for results and progress, on whichever node tasks are worked. */
export class TaskWait {
  readonly #store: TaskStore;
  readonly #maxWaits: number;
  /** Whoever waits for a task, by its id. */
  readonly #waiting = new Map<string, Set<() => void>>();
  #open = 0;

  /** `maxWaits`: how many there may be at a time. */
  constructor(store: TaskStore, maxWaits: number) {
    this.#store = store;
    this.#maxWaits = maxWaits;
  }

  get open(): number {
    return this.#open;
  }

  /** A task has ended on this node: nobody here need wait for the next look. */
  ended(taskId: string): void {
    for (const look of this.#waiting.get(taskId) ?? []) look();
  }

  /** Encoded AwaitTaskResponses, with the result last. Throws UNKNOWN_TASK, TASK_FAILED, and by the context. */
  async *wait(id: string, { signal }: Pick<CallContext, "signal">): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#open >= this.#maxWaits) {
      throw new Fault("RESOURCE_EXHAUSTED", `${this.#maxWaits} tasks are awaited here already; try again later`);
    }
    const { partition, key } = parseTaskId(id);
    const sinceMs = performance.now();
    let progress = "";
    this.#open++;
    try {
      while (!signal.aborted) {
        const found = await this.#store.partition(partition).find(key).catch(passing);
        if (found === undefined)
          throw new Fault("UNKNOWN_TASK", "there is no such task, or it ended and is not kept any more");
        if (found) {
          const { task, state } = found;
          const told = task.progress ? Buffer.from(task.progress).toString("latin1") : "";
          if (told !== progress && task.progress)
            yield awaitTaskResponse.encode({ progress: task.progress, result: undefined });
          progress = told;
          if (state === "failed") throw new Fault("TASK_FAILED", task.error);
          if (state === "completed") {
            yield awaitTaskResponse.encode({ progress: undefined, result: task.result ?? NULL });
            return;
          }
        }
        await this.#look(id, performance.now() - sinceMs, signal);
      }
    } finally {
      this.#open--;
    }
  }

  /** Resolves when it is time to look again. */
  async #look(id: string, waitedMs: number, signal: CallContext["signal"]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting.add(resolve));
    const timer = setTimeout(resolve, Math.min(MAX_LOOK_MS, Math.max(MIN_LOOK_MS, waitedMs / 4)));
    const abort = (): void => resolve();
    signal.addEventListener("abort", abort);
    await promise;
    signal.removeEventListener("abort", abort);
    clearTimeout(timer);
    waiting.delete(resolve);
    if (waiting.size === 0) this.#waiting.delete(id);
  }
}

/** Null: Redis is away, and comes back. */
function passing(thrown: unknown): null {
  const fault = Fault.from(thrown);
  if (fault.code === "UNAVAILABLE" || fault.code === "INDETERMINATE") return null;
  throw fault;
}
