import { Buffer } from "node:buffer";
import { Fault } from "../base/fault.ts";
import { RedisErrorReply, type RedisReply } from "../functions/shard-redis.ts";
import type { StoredTask, Taken } from "../tasks/task-store.ts";
import { slotOf } from "./key-slot.ts";
import type { SlotKeys } from "./redis-script.ts";
import type { StoreClient } from "./store-client.ts";
import { CYCLE, CYCLE_KEYS } from "./task-cycle-script.ts";
import { loadedPayload, storedPayload } from "./task-payload.ts";

/** Steps and bytes of one request: whatever else wants something of that Redis waits meanwhile, a few ms at most. */
const MAX_STEPS = 64;
const MAX_BYTES = 512 * 1024;

export interface TaskCycleParts {
  readonly client: StoreClient;
  /** A key of the partition by its last part. */
  readonly toKey: (name: string) => string;
  /** Who takes tasks. */
  readonly worker: () => string;
  /** How long a task is held without renewal. Unit: ms. */
  readonly leaseMs: number;
  /** How long completed tasks are kept, and how many of them. Unit: ms. */
  readonly resultMs: number;
  readonly maxResults: number;
}

/** One task that is completed, or one that is taken. */
interface Step {
  readonly args: readonly string[];
  readonly reply: PromiseWithResolvers<RedisReply>;
}

/** What is asked of one partition in one turn. */
class Batch {
  readonly completions: Step[] = [];
  readonly takes: Step[] = [];

  #bytes = 0;

  get isFull(): boolean {
    return this.completions.length + this.takes.length >= MAX_STEPS || this.#bytes >= MAX_BYTES;
  }

  get steps(): readonly Step[] {
    return [...this.completions, ...this.takes];
  }

  complete(key: string, token: string, result: string): Promise<RedisReply> {
    this.#bytes += result.length;
    return this.#push(this.completions, [key, token, result]);
  }

  /** `isAfterCompletion`: only where the completion that was asked for last is done. */
  take(token: string, isAfterCompletion: boolean): Promise<RedisReply> {
    return this.#push(this.takes, [isAfterCompletion ? String(this.completions.length) : "0", token]);
  }

  #push(steps: Step[], args: readonly string[]): Promise<RedisReply> {
    const reply = Promise.withResolvers<RedisReply>();
    steps.push({ args, reply });
    return reply.promise;
  }
}

/** Completes the tasks of one partition and takes the next ones: those of one turn in one request. */
export class TaskCycle {
  readonly #parts: TaskCycleParts;
  readonly #keys: SlotKeys;
  #batch: Batch | undefined;

  constructor(parts: TaskCycleParts) {
    this.#parts = parts;
    const keys = CYCLE_KEYS.map(parts.toKey);
    this.#keys = { slot: slotOf(Buffer.from(keys[0] ?? "")), keys };
  }

  /** Rejects as TaskPartition does. */
  async take(token: string): Promise<Taken> {
    return takenFrom(await this.#open().take(token, false));
  }

  /** Rejects as TaskPartition does. */
  async complete(key: string, token: string, result: Uint8Array, takeNext: boolean): Promise<Taken | undefined> {
    const batch = this.#open();
    const completed = batch.complete(key, token, storedPayload(result));
    if (!takeNext) {
      assertHeld(await completed, key);
      return undefined;
    }
    const [reply, next] = await Promise.all([completed, batch.take(token, true)]);
    assertHeld(reply, key);
    return takenFrom(next);
  }

  #open(): Batch {
    if (this.#batch?.isFull) this.#leave(this.#batch);
    if (!this.#batch) {
      const batch = new Batch();
      this.#batch = batch;
      process.nextTick(() => this.#leave(batch));
    }
    return this.#batch;
  }

  #leave(batch: Batch): void {
    if (this.#batch !== batch) return;
    this.#batch = undefined;
    void this.#send(batch);
  }

  async #send({ completions, steps }: Batch): Promise<void> {
    const { client, toKey, worker, leaseMs, resultMs, maxResults } = this.#parts;
    const common = [toKey(""), Date.now(), leaseMs, worker(), resultMs, maxResults, completions.length].map(String);
    try {
      const replies = await CYCLE.run(client, this.#keys, [...common, ...steps.flatMap(({ args }) => args)]);
      if (!Array.isArray(replies) || replies.length !== steps.length)
        throw new Error("a script replied to other steps");
      for (const [index, { reply }] of steps.entries()) settle(reply, replies[index] ?? null);
    } catch (thrown) {
      for (const { reply } of steps) reply.reject(thrown);
    }
  }
}

/** What fails in its midst may have done a part of it. */
function settle({ resolve, reject }: PromiseWithResolvers<RedisReply>, reply: RedisReply): void {
  if (reply instanceof RedisErrorReply)
    reject(new Fault("INDETERMINATE", `a script of a queue failed: ${reply.message}`));
  else resolve(reply);
}

/** As BullMQ's scripts, it replies a number below 0 where whoever calls does not hold the task. */
function assertHeld(reply: RedisReply, key: string): void {
  if (Number(reply) < 0) throw new Fault("TASK_NOT_HELD", `task ${key} is not held any more`);
}

function takenFrom(reply: RedisReply): Taken {
  if (!Array.isArray(reply)) return { task: undefined, limitedMs: 0, nextAtMs: 0 };
  if (reply.length === 2) return { task: undefined, limitedMs: Number(reply[0]), nextAtMs: Number(reply[1]) };
  return { task: taskFrom(reply), limitedMs: 0, nextAtMs: 0 };
}

function taskFrom(reply: readonly RedisReply[]): StoredTask {
  const texts = reply.map((field) => (field === null ? "" : String(field)));
  const [
    key = "",
    fence,
    name = "",
    data = "",
    opts,
    enqueuedAt,
    delay,
    priority,
    made,
    progress,
    error = "",
    refusal,
  ] = texts;
  const { attempts = 1, backoff = 0 } = JSON.parse(opts || "{}") as {
    readonly attempts?: number;
    readonly backoff?: unknown;
  };
  return {
    key,
    name,
    args: loadedPayload(data),
    priority: Number(priority),
    enqueuedAtMs: Number(enqueuedAt),
    delayMs: Number(delay),
    fence: Number(fence),
    attemptsMade: Number(made),
    attempts,
    backoffMs: typeof backoff === "number" ? backoff : 0,
    worker: "",
    startedAtMs: 0,
    finishedAtMs: 0,
    progress: loadedPayload(progress || "0"),
    result: undefined,
    error,
    refusal: refusal || undefined,
  };
}
