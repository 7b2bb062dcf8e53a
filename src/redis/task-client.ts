import { Buffer } from "node:buffer";
import type { RedisReply } from "../functions/shard-redis.ts";
import { slotOf } from "./key-slot.ts";
import { RedisScript } from "./redis-script.ts";
import type { RespConnection } from "./resp-connection.ts";
import type { StoreClient } from "./store-client.ts";
import { queueEngine } from "./task-scripts.ts";

/** Of a script, as it is called. */
export type ScriptArgument = string | number | Uint8Array | null | undefined;

interface KnownScript {
  readonly script: RedisScript;
  readonly keys: number;
}

/**
 * How BullMQ reaches Redis: through our own way to the owner of each key, and not through ioredis. That one queues for a node that is away, and sends again what was lost with a
 * connection, so that a task could be enqueued twice, or nobody would know whether it was at all.
 */
export class TaskClient {
  readonly isCluster = true;
  readonly status = "ready";
  readonly #store: StoreClient;
  readonly #scripts = new Map<string, KnownScript>();

  constructor(store: StoreClient) {
    this.#store = store;
  }

  /** Rejects as StoreClient does. */
  async runCommand(name: string, args: readonly ScriptArgument[]): Promise<unknown> {
    return (await this.run(name, args)).reply;
  }

  /** The reply, and the connection it came over. */
  async run(
    name: string,
    args: readonly ScriptArgument[],
  ): Promise<{ readonly reply: unknown; readonly connection: RespConnection }> {
    const { script, keys: count } = this.#script(name);
    const keys = args.slice(0, count).map(String);
    const slot = slotOf(Buffer.from(keys[0] ?? ""));
    const { reply, connection } = await script.send(this.#store, { slot, keys }, args.slice(count).map(argument));
    return { reply: plainReply(reply), connection };
  }

  async hgetall(key: string): Promise<Record<string, string>> {
    const { reply } = await this.#store.command(key, ["HGETALL", key]);
    if (!(reply instanceof Map)) return {};
    return Object.fromEntries([...reply].map(([field, value]) => [String(field), String(value)]));
  }

  async hset(key: string, fields: Readonly<Record<string, string | number>>): Promise<void> {
    await this.#store.command(key, ["HSET", key, ...Object.entries(fields).flat().map(String)]);
  }

  async hdel(key: string, ...fields: string[]): Promise<void> {
    await this.#store.command(key, ["HDEL", key, ...fields]);
  }

  async hexists(key: string, field: string): Promise<number> {
    return Number((await this.#store.command(key, ["HEXISTS", key, field])).reply);
  }

  #script(name: string): KnownScript {
    let known = this.#scripts.get(name);
    if (!known) {
      const script = queueEngine().scripts.get(name);
      if (!script) throw new Error(`BullMQ has no script ${name}`);
      known = { script: new RedisScript(script.text), keys: script.keys };
      this.#scripts.set(name, known);
    }
    return known;
  }
}

function argument(value: ScriptArgument): string | Uint8Array {
  if (value instanceof Uint8Array) return value;
  return value === undefined || value === null ? "" : String(value);
}

/** As ioredis has it, which is what BullMQ reads: integers are numbers, and everything else is text. */
function plainReply(reply: RedisReply): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString();
  if (typeof reply === "bigint") return Number(reply);
  if (Array.isArray(reply)) return reply.map(plainReply);
  return reply;
}
