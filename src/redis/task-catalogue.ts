import { Buffer } from "node:buffer";
import type { RegisteredTask } from "../tasks/task-codec.ts";
import type { CatalogueView, NodeRecord, QueueRecord, Recurrence, TaskCatalogue } from "../tasks/task-store.ts";
import { RedisScript } from "./redis-script.ts";
import type { StoreClient } from "./store-client.ts";
import { loadedPayload, storedPayload } from "./task-payload.ts";

/** Replies Redis' clock and everything. Unit: ms. */
const READ = new RedisScript(`#!lua flags=no-writes
local time = redis.call('TIME')
return {time[1] * 1000 + math.floor(time[2] / 1000), redis.call('HGETALL', KEYS[1])}
`);

/** ARGV: field, what precedes the clock in its JSON. A full Redis takes it: it is small, and says who is at work. */
const ANNOUNCE = new RedisScript(`#!lua flags=allow-oom
local time = redis.call('TIME')
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. string.format('%.0f}', time[1] * 1000 + math.floor(time[2] / 1000)))
`);

/** What a field is of, before the colon in its name. */
const FIELD = { queue: "queue", task: "task", recurrence: "recurrence", node: "node" } as const;

type StoredRecurrence = Omit<Recurrence, "args"> & { readonly args: string };

/** One hash, at `<namespace>:{tasks}`: each queue, task, recurrence and node is a field, as JSON. */
export class RedisTaskCatalogue implements TaskCatalogue {
  readonly #client: StoreClient;
  readonly #key: string;

  constructor(client: StoreClient, namespace: string) {
    this.#client = client;
    this.#key = `${namespace}:{tasks}`;
  }

  async read(): Promise<CatalogueView> {
    const queues = new Map<string, QueueRecord>();
    const tasks = new Map<string, RegisteredTask>();
    const recurrences = new Map<string, Recurrence>();
    const nodes = new Map<string, NodeRecord>();
    const reply = await READ.run(this.#client, this.#key, []);
    const [atMs, fields] = Array.isArray(reply) ? reply : [];
    const texts = Array.isArray(fields) ? fields.map((item) => (Buffer.isBuffer(item) ? item.toString() : "")) : [];
    for (let i = 0; i + 1 < texts.length; i += 2) {
      const [field = "", text = ""] = texts.slice(i, i + 2);
      const colon = field.indexOf(":");
      const name = field.slice(colon + 1);
      const value = JSON.parse(text);
      if (field.startsWith(FIELD.queue)) queues.set(name, value);
      else if (field.startsWith(FIELD.task)) tasks.set(name, value);
      else if (field.startsWith(FIELD.recurrence)) recurrences.set(name, recurrenceFrom(value));
      else if (field.startsWith(FIELD.node)) nodes.set(name, value);
    }
    return { queues, tasks, recurrences, nodes, atMs: Number(atMs) };
  }

  putQueue(queue: string, record: QueueRecord): Promise<void> {
    return this.#put(FIELD.queue, new Map([[queue, record]]));
  }

  removeQueue(queue: string): Promise<void> {
    return this.#remove(FIELD.queue, queue);
  }

  putTasks(tasks: readonly RegisteredTask[]): Promise<void> {
    return this.#put(FIELD.task, new Map(tasks.map((task) => [task.name, task])));
  }

  putRecurrence(task: string, recurrence: Recurrence): Promise<void> {
    const stored: StoredRecurrence = { ...recurrence, args: storedPayload(recurrence.args) };
    return this.#put(FIELD.recurrence, new Map([[task, stored]]));
  }

  removeRecurrence(task: string): Promise<void> {
    return this.#remove(FIELD.recurrence, task);
  }

  async announce(runId: string, record: Omit<NodeRecord, "seenAtMs">): Promise<void> {
    const open = `${JSON.stringify(record).slice(0, -1)},"seenAtMs":`;
    await ANNOUNCE.run(this.#client, this.#key, [`${FIELD.node}:${runId}`, open]);
  }

  forgetNode(runId: string): Promise<void> {
    return this.#remove(FIELD.node, runId);
  }

  async #put(kind: string, values: ReadonlyMap<string, unknown>): Promise<void> {
    const fields = [...values].flatMap(([name, value]) => [`${kind}:${name}`, JSON.stringify(value)]);
    await this.#client.command(this.#key, ["HSET", this.#key, ...fields]);
  }

  async #remove(kind: string, name: string): Promise<void> {
    await this.#client.command(this.#key, ["HDEL", this.#key, `${kind}:${name}`]);
  }
}

function recurrenceFrom({ args, ...recurrence }: StoredRecurrence): Recurrence {
  return { ...recurrence, args: loadedPayload(args) };
}
