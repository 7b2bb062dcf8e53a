import type { ExecutionContext } from "ava";
import type { GearmeshClient } from "../../../src/client/client.ts";
import type { TaskWorker } from "../../../src/client/task-worker.ts";
import { eventually } from "../../support/eventually.ts";
import type { Random } from "../../support/seed.ts";

const HOUR_MS = 3_600_000;
/** Of each kind. */
const MANY = 30;
/** Less than any restart takes: such a task is due while nobody is there to work it. Unit: ms. */
const DUE_SOON_MS = 1000;

const WAITING = "powerWaiting";
const HELD = "powerHeld";

export const LIBRARY = `#!js name=power
redis.register_remote_function("read", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_async_function("far", async (client, key) => client.run_on_key(key, "read", key), ["no-writes"]);
redis.register_function("add", (client, key) => client.call("incr", key));
redis.register_function("set", (client, key, value) => client.call("set", key, value));
redis.register_function("get", (client, key) => client.call("get", key), ["no-writes"]);
redis.register_rpc_method("power.echo", async (client, text) => text);
redis.register_task("powerEcho", async (client, text) => text);
redis.register_task("powerWait", async (client, gate) => {
  for (;;) {
    try {
      if (await client.run_on_key(gate, "read", gate) === "open") return "through";
    } catch {
      // Whoever has the gate is away.
    }
  }
});
`;

/** What applications have left in a cluster, and find there again after everything was away. */
export class Belongings {
  readonly #client: GearmeshClient;
  readonly #values: ReadonlyMap<string, number>;
  readonly #revisions = new Map<string, number>();
  readonly #worker: TaskWorker;
  /** Attempts that the worker began of the task that it holds. */
  #begun = 0;
  #ticks = 0;
  readonly #gate = Promise.withResolvers<string>();
  readonly #tasks = new Map<string, string>();
  readonly #waiting: string[] = [];
  #later = { id: "", dueAtMs: 0 };
  #leaseId = "";

  private constructor(client: GearmeshClient, random: Random) {
    this.#client = client;
    this.#values = new Map(Array.from({ length: MANY }, () => [`power ${random()}`, random()]));
    const tick = (): void => {
      this.#ticks++;
    };
    const hold = (): Promise<string> => {
      this.#begun++;
      return this.#gate.promise;
    };
    this.#worker = client.tasks.work(
      { [HELD]: { handle: hold, queue: HELD }, powerTick: { handle: tick, queue: "powerTick" } },
      { concurrency: 5 },
    );
  }

  /** Resolves once all of it is there, two tasks at work among it. `LIBRARY` must be loaded. */
  static async leave(client: GearmeshClient, random: Random): Promise<Belongings> {
    const belongings = new Belongings(client, random);
    await belongings.#keep();
    await belongings.#enqueue();
    return belongings;
  }

  async #keep(): Promise<void> {
    const { storage, cache, rooms } = this.#client;
    const { leaseId } = await storage.grantLease(HOUR_MS);
    this.#leaseId = leaseId;
    await storage.put("leased", "by an hour", { leaseId });
    for (const [key, value] of this.#values) {
      this.#revisions.set(key, (await storage.put(key, value)).revision);
      await cache.save(key, value, { lifetimeMs: HOUR_MS });
      await cache.push("a list", value);
      await rooms.add(key);
    }
  }

  async #enqueue(): Promise<void> {
    const { tasks } = this.#client;
    await this.#worker.ready;
    await tasks.configureQueue(WAITING);
    await tasks.pauseQueue(WAITING);
    for (const key of this.#values.keys()) {
      const { id } = await tasks.enqueue("powerEcho", key, { queue: WAITING });
      this.#tasks.set(id, key);
      this.#waiting.push(id);
    }
    await tasks.enqueueRecurrentTask("powerTick", { frequencyMs: 200 });
    const { id } = await tasks.enqueueIn(HOUR_MS, "powerEcho", "in an hour");
    this.#later = { id, dueAtMs: (await tasks.describe(id)).dueAtMs };
    this.#tasks.set((await tasks.enqueue(HELD)).id, "let go");
    const running = await tasks.enqueue("powerWait", "gate");
    this.#tasks.set(running.id, "through");
    await eventually(
      async () => this.#begun === 1 && this.#ticks > 0 && (await tasks.describe(running.id)).state === "active",
      { what: "two tasks at work, and one that recurs" },
    );
    for (const key of this.#values.keys()) {
      const soon = await tasks.enqueueIn(DUE_SOON_MS, "powerEcho", `soon ${key}`);
      this.#tasks.set(soon.id, `soon ${key}`);
    }
  }

  /** Asks for everything once, and for the tasks until they have ended. */
  async find(t: ExecutionContext): Promise<void> {
    await this.#findKept(t);
    await this.#findTasks(t);
  }

  async #findKept(t: ExecutionContext): Promise<void> {
    const { storage, cache, rooms } = this.#client;
    const libraries = await this.#client.list();
    t.deepEqual(
      libraries.map(({ name }) => name),
      ["power"],
    );
    t.deepEqual((await storage.lease(this.#leaseId)).keys, ["leased"]);
    t.like(await storage.get("leased"), { value: "by an hour", leaseId: this.#leaseId });
    const stored = new Map<string, unknown>();
    for await (const { key, value } of storage.list({ prefix: "power " })) stored.set(key, value);
    t.deepEqual(new Map([...stored].toSorted()), new Map([...this.#values].toSorted()));
    t.is(await cache.listLength("a list"), MANY);
    const names = await rooms.list();
    for (const [key, value] of this.#values) {
      t.like(await storage.get(key), { value, revision: this.#revisions.get(key) });
      const { expireTimestamp, ...object } = await cache.load(key);
      t.is(object.value, value);
      t.true((expireTimestamp?.getTime() ?? 0) > Date.now());
      t.is(await cache.pop("a list"), value, "in order");
      t.true(names.includes(key));
    }
  }

  async #findTasks(t: ExecutionContext): Promise<void> {
    const { tasks } = this.#client;
    const ticks = this.#ticks;
    t.like(await tasks.describe(this.#later.id), { state: "delayed", dueAtMs: this.#later.dueAtMs });
    t.deepEqual(
      (await tasks.list({ queue: WAITING })).map(({ id }) => id),
      this.#waiting,
      "in order, and paused",
    );
    await tasks.resumeQueue(WAITING);
    await eventually(() => this.#begun > 1, { what: "the task that was held, begun anew" });
    this.#gate.resolve("let go");
    await this.#client.call("power.set", { keys: ["gate"], args: ["open"] });
    for (const [id, result] of this.#tasks) t.is(await tasks.result(id, { timeoutMs: 30_000 }), result);
    await eventually(() => this.#ticks > ticks + 1, { what: "the next runs of the task that recurs" });
    await tasks.stopRecurrentTask("powerTick");
    await this.#worker.close();
  }
}
