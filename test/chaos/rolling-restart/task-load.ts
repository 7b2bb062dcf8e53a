import type { GearmeshClient } from "../../../src/client/client.ts";
import type { TaskWorker } from "../../../src/client/task-worker.ts";
import type { Tally } from "./tally.ts";

/** Tasks that are enqueued all along, some for a library's function and some for a worker in this process. */
export class TaskLoad {
  readonly #keys: readonly string[];
  readonly #tally: Tally;
  readonly #enqueued = { library: new Set<string>(), external: new Set<string>() };
  readonly #worked = new Map<string, number>();
  readonly #workers: TaskWorker[] = [];
  #count = 0;

  /** `keys`: one of each shard, for the effects of the library's function. */
  constructor(keys: readonly string[], tally: Tally) {
    this.#keys = keys.map((key) => `{${key}}:effects`);
    this.#tally = tally;
  }

  async work(client: GearmeshClient): Promise<void> {
    const handle = (id: unknown): void => {
      this.#worked.set(String(id), (this.#worked.get(String(id)) ?? 0) + 1);
    };
    const worker = client.tasks.work({ rollExternal: { handle, queue: "rollExternal" } });
    this.#workers.push(worker);
    await worker.ready;
  }

  async enqueueForLibrary(client: GearmeshClient): Promise<void> {
    const id = `library-${++this.#count}`;
    await client.tasks.enqueue("rollLibrary", { id, keys: this.#keys });
    this.#enqueued.library.add(id);
  }

  async enqueueForWorker(stream: ReturnType<GearmeshClient["stream"]>): Promise<void> {
    const id = `external-${++this.#count}`;
    await stream.enqueue({ name: "rollExternal", args: id });
    this.#enqueued.external.add(id);
  }

  /** Enqueues one and waits for what it comes to. */
  async enqueueAndAwait(client: GearmeshClient): Promise<void> {
    const id = `library-${++this.#count}`;
    const task = await client.tasks.enqueue("rollLibrary", { id, keys: this.#keys });
    this.#enqueued.library.add(id);
    await this.#tally.note("a task's result", true, () => client.tasks.result(task.id));
  }

  /** How often each effect that was to come has come. `readEffects`: the fields of a hash. */
  async effects(
    readEffects: (key: string) => Promise<Readonly<Record<string, string>>>,
  ): Promise<{ readonly once: number; readonly never: number; readonly twice: number }> {
    const counts = new Map(this.#worked);
    for (const key of this.#keys) {
      for (const [id, count] of Object.entries(await readEffects(key))) {
        counts.set(id, (counts.get(id) ?? 0) + Number(count));
      }
    }
    const accepted = [...this.#enqueued.library, ...this.#enqueued.external].map((id) => counts.get(id) ?? 0);
    const twice = [...counts.values()].filter((count) => count > 1).length;
    return {
      once: accepted.filter((count) => count === 1).length,
      never: accepted.filter((count) => count === 0).length,
      twice,
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
  }
}
