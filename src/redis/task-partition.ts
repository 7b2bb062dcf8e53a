import { Buffer } from "node:buffer";
import type { JobJson, JobsOptions, MinimalJob, QueueBaseOptions, RedisConnection, RedisQueueBackend } from "bullmq";
import { Fault } from "../base/fault.ts";
import {
  type Hold,
  isImmediate,
  type NewTask,
  type StoredTask,
  type Taken,
  type TaskCounts,
  type TaskPartition,
  type TaskState,
} from "../tasks/task-store.ts";
import { slotOf } from "./key-slot.ts";
import { RedisScript } from "./redis-script.ts";
import type { ReplicaConfirmation } from "./replica-confirmation.ts";
import type { StoreClient } from "./store-client.ts";
import { TaskAdds } from "./task-adds.ts";
import type { TaskClient } from "./task-client.ts";
import { TaskCycle } from "./task-cycle.ts";
import { loadedPayload, storedPayload } from "./task-payload.ts";
import { queueEngine } from "./task-scripts.ts";

export interface TaskPartitionOptions {
  readonly namespace: string;
  /** Who takes tasks. */
  readonly worker: () => string;
  /** How long a task is held without renewal. Unit: ms. */
  readonly leaseMs: number;
  /** Between two looks for tasks whose lease is over. Unit: ms. */
  readonly recoverMs: number;
  /** How often a task may be put back because its lease was over. */
  readonly maxReruns: number;
  /** How long completed tasks are kept, and how many of them. Unit: ms. */
  readonly resultMs: number;
  readonly maxResults: number;
  readonly confirmation: ReplicaConfirmation;
}

/** Keys of active tasks that are locked by a token. ARGV: token, what precedes each key. */
const HELD_BY = new RedisScript(`#!lua flags=no-writes
local held = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  if redis.call('GET', ARGV[2] .. id .. ':lock') == ARGV[1] then held[#held + 1] = id end
end
return held
`);

/** KEYS: a task and its lock. ARGV: the token that must hold it. `ats` counts how often it was taken. */
const UNBEGIN = new RedisScript(`#!lua flags=allow-oom
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('HINCRBY', KEYS[1], 'ats', -1) end
return 0
`);

/** As BullMQ's script, but for its event: that one would keep the last 10,000 values. KEYS: a task. ARGV: its progress. */
const PROGRESS = new RedisScript(`#!lua
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
redis.call('HSET', KEYS[1], 'progress', ARGV[1])
return 0
`);

/** Codes of BullMQ's scripts: the task is gone, its lock is, it is not being worked, or somebody else holds it. */
const NOT_HELD = new Set([-1, -2, -3, -6]);

/** The sets in which BullMQ keeps tasks of a state. */
const SETS = {
  waiting: ["wait", "prioritized"],
  delayed: ["delayed"],
  active: ["active"],
  failed: ["failed"],
  completed: ["completed"],
} as const satisfies Record<TaskState, readonly string[]>;

const STATE_OF: Readonly<Record<string, TaskState | undefined>> = {
  waiting: "waiting",
  prioritized: "waiting",
  delayed: "delayed",
  active: "active",
  failed: "failed",
  completed: "completed",
};

/** A partition as BullMQ keeps a queue, at `<namespace>:tasks:{<partition>}:...`. */
export class RedisTaskPartition implements TaskPartition {
  readonly id: string;
  readonly #options: TaskPartitionOptions;
  readonly #client: TaskClient;
  readonly #store: StoreClient;
  readonly #backend: RedisQueueBackend;
  readonly #adds: TaskAdds;
  readonly #cycle: TaskCycle;

  constructor(id: string, client: TaskClient, store: StoreClient, options: TaskPartitionOptions) {
    this.id = id;
    this.#client = client;
    this.#store = store;
    this.#options = options;
    const { RedisQueueBackend, QueueKeys } = queueEngine();
    const keys = new QueueKeys(`${options.namespace}:tasks`);
    const name = `{${id}}`;
    // All of it that the backend asks for.
    const connection = { client: Promise.resolve(client), redisVersion: "7.0.0", databaseType: "redis" };
    const toKey = (type: string) => keys.toKey(name, type);
    this.#backend = new RedisQueueBackend(
      connection as unknown as RedisConnection,
      name,
      keys.getKeys(name),
      toKey,
      backendOptions(options),
      undefined,
      false,
    );
    this.#adds = new TaskAdds({ client: store, confirmation: options.confirmation, toKey });
    this.#cycle = new TaskCycle({ ...options, client: store, toKey });
  }

  async add(task: NewTask): Promise<string> {
    if (isImmediate(task)) {
      await this.addNow(task);
      return task.key;
    }
    const { confirmation } = this.#options;
    // The backend tells what its script replied and not over which connection it came, by which alone a replica confirms it.
    const confirmed: { connection?: Parameters<ReplicaConfirmation["of"]>[0] } = {};
    const once = {
      runCommand: async (name: string, args: never[]) => {
        const { reply, connection } = await this.#client.run(name, args);
        confirmed.connection = connection;
        return reply;
      },
    };
    const added = String(await this.#backend.addJobToTransaction(once as never, jobOf(task), task.key));
    if (confirmed.connection) await confirmation.of(confirmed.connection);
    return added;
  }

  addNow(task: NewTask): Promise<void> {
    return this.#adds.add(task);
  }

  take(token: string): Promise<Taken> {
    return this.#cycle.take(token);
  }

  complete({ key }: StoredTask, token: string, result: Uint8Array, takeNext: boolean): Promise<Taken | undefined> {
    return this.#cycle.complete(key, token, result, takeNext);
  }

  async fail(task: StoredTask, token: string, error: string, retryInMs: number | undefined): Promise<void> {
    const fieldsToUpdate = { failedReason: error };
    if (retryInMs === undefined) {
      await notHeld(
        this.#backend.moveToFailed(held(task), error, undefined as never, token, false, fieldsToUpdate),
        task.key,
      );
    } else if (retryInMs > 0) {
      const options = { fieldsToUpdate };
      await notHeld(this.#backend.moveToDelayed(task.key, Date.now(), retryInMs, token, options), task.key);
    } else {
      await notHeld(this.#backend.retryJob(task.key, false, token, { fieldsToUpdate }), task.key);
    }
  }

  async unbegin({ key, token }: Hold): Promise<void> {
    const task = this.#backend.toKey(key);
    await UNBEGIN.run(this.#store, { slot: slotOf(Buffer.from(task)), keys: [task, `${task}:lock`] }, [token]);
  }

  async handBack({ key, token }: Hold): Promise<void> {
    await notHeld(this.#backend.moveJobFromActiveToWait(key, token), key);
  }

  async park({ key, token }: Hold, ms: number): Promise<void> {
    await notHeld(this.#backend.moveToDelayed(key, Date.now(), ms, token, { skipAttempt: true }), key);
  }

  renew(holds: readonly Hold[]): Promise<readonly string[]> {
    const keys = holds.map(({ key }) => key);
    const tokens = holds.map(({ token }) => token);
    return this.#backend.extendLocks(keys, tokens, this.#options.leaseMs);
  }

  recover(): Promise<readonly string[]> {
    return this.#backend.moveStalledJobsToWait();
  }

  async heldBy(token: string): Promise<readonly string[]> {
    const reply = await HELD_BY.run(this.#store, this.#backend.toKey("active"), [token, this.#backend.toKey("")]);
    return Array.isArray(reply) ? reply.map(String) : [];
  }

  async progress(key: string, progress: Uint8Array): Promise<void> {
    const reply = PROGRESS.run(this.#store, this.#backend.toKey(key), [storedPayload(progress)]);
    await notHeld(reply.then(Number), key);
  }

  async find(key: string): Promise<{ readonly task: StoredTask; readonly state: TaskState } | undefined> {
    const [state, read] = await Promise.all([this.#backend.getState(key), this.#backend.getJobData(key)]);
    const known = STATE_OF[state];
    const hasEnded = known === "completed" || known === "failed";
    // It ended in between: its result is not in what was read.
    const job = hasEnded && read?.finishedOn === undefined ? await this.#backend.getJobData(key) : read;
    return job && known && { task: taskFrom({ ...job, id: key }), state: known };
  }

  async list(state: TaskState, start: number, count: number): Promise<readonly StoredTask[]> {
    const isFinished = state === "failed" || state === "completed";
    const tasks: StoredTask[] = [];
    let skip = start;
    for (const set of SETS[state]) {
      if (tasks.length >= count) break;
      const missing = count - tasks.length;
      const [entries = []] = await this.#backend.getJobs([set as never], skip, skip + missing - 1, !isFinished);
      for (const [key, fields] of entries as unknown as readonly [string, string[]][]) {
        tasks.push(taskFrom(jobFrom(key, fields)));
      }
      const [size = 0] = await this.#backend.getCounts([set as never]);
      skip = Math.max(0, skip - size);
    }
    return tasks;
  }

  async counts(): Promise<TaskCounts> {
    const sets = Object.values(SETS).flat();
    const sizes = await this.#backend.getCounts(sets as never);
    const sizeOf = new Map(sets.map((set, index) => [set, sizes[index] ?? 0] as const));
    const of = (state: TaskState): number => SETS[state].reduce((sum, set) => sum + (sizeOf.get(set) ?? 0), 0);
    return {
      waiting: of("waiting"),
      delayed: of("delayed"),
      active: of("active"),
      failed: of("failed"),
      completed: of("completed"),
    };
  }

  async remove(key: string): Promise<boolean> {
    return (await this.#backend.remove(key, false)) === 1;
  }

  async retry(task: StoredTask): Promise<boolean> {
    const again = this.#backend.retryFinishedJob(held(task), "failed", { resetAttemptsMade: true });
    return again.then(
      () => true,
      (error) => {
        if (typeof error?.code === "number") return false;
        throw error;
      },
    );
  }

  pause(isPaused: boolean): Promise<void> {
    return this.#backend.pause(isPaused);
  }

  isPaused(): Promise<boolean> {
    return this.#backend.hasQueueMetaField("paused");
  }

  async limit(rate: { readonly max: number; readonly perMs: number } | undefined): Promise<void> {
    if (rate) await this.#backend.setQueueMeta({ max: rate.max, duration: rate.perMs });
    else await this.#backend.removeQueueMetaFields(["max", "duration"]);
  }
}

function backendOptions(options: TaskPartitionOptions): QueueBaseOptions {
  const { namespace, leaseMs, recoverMs, maxReruns } = options;
  const worker = {
    lockDuration: leaseMs,
    stalledInterval: recoverMs,
    maxStalledCount: maxReruns,
    removeOnFail: { count: -1 },
  };
  return { connection: {}, prefix: `${namespace}:tasks`, ...worker } as QueueBaseOptions;
}

function jobOf({
  key,
  name,
  args,
  enqueuedAtMs,
  delayMs,
  priority,
  attempts,
  backoffMs,
  deduplicationId,
}: NewTask): JobJson {
  const opts: JobsOptions = {
    attempts,
    ...(delayMs > 0 && { delay: delayMs }),
    ...(priority > 0 && { priority }),
    ...(backoffMs > 0 && { backoff: backoffMs }),
    ...(deduplicationId !== "" && { deduplication: { id: deduplicationId } }),
  };
  const job: Partial<JobJson> = { id: key, name, data: storedPayload(args), opts, timestamp: enqueuedAtMs };
  if (deduplicationId !== "") job.deduplicationId = deduplicationId;
  return job as JobJson;
}

/** As much of a job as the backend's methods look at. */
function held({ key, attempts }: StoredTask): MinimalJob {
  return { id: key, opts: { attempts } } as MinimalJob;
}

/** What the script that lists jobs replies of one: names and values of its fields. */
function jobFrom(key: string, fields: readonly string[]): JobJson {
  const raw: Record<string, string> = {};
  for (let i = 0; i + 1 < fields.length; i += 2) raw[fields[i] ?? ""] = fields[i + 1] ?? "";
  const number = (field: string): number => Number(raw[field] ?? 0);
  return {
    id: key,
    name: raw["name"] ?? "",
    data: raw["data"] ?? "",
    opts: JSON.parse(raw["opts"] ?? "{}"),
    progress: JSON.parse(raw["progress"] ?? "0"),
    attemptsMade: number("atm"),
    attemptsStarted: number("ats"),
    finishedOn: number("finishedOn"),
    processedOn: number("processedOn"),
    timestamp: number("timestamp"),
    delay: number("delay"),
    priority: number("priority"),
    failedReason: raw["failedReason"] ?? "",
    returnvalue: raw["returnvalue"] ?? "",
    processedBy: raw["pb"] ?? "",
    deferredFailure: raw["defa"] ?? "",
    stalledCounter: number("stc"),
  };
}

function taskFrom(job: JobJson): StoredTask {
  const { opts } = job;
  return {
    key: job.id,
    name: job.name,
    args: loadedPayload(job.data),
    priority: job.priority ?? 0,
    enqueuedAtMs: job.timestamp,
    delayMs: job.delay ?? 0,
    fence: job.attemptsStarted,
    attemptsMade: job.attemptsMade,
    attempts: opts.attempts ?? 1,
    backoffMs: typeof opts.backoff === "number" ? opts.backoff : 0,
    worker: job.processedBy ?? "",
    startedAtMs: job.processedOn ?? 0,
    finishedAtMs: job.finishedOn ?? 0,
    progress: loadedPayload(JSON.stringify(job.progress)),
    result: loadedPayload(job.returnvalue ?? ""),
    error: job.failedReason ?? "",
    refusal: job.deferredFailure || undefined,
  };
}

/** BullMQ's scripts answer a number below 0, and its backend throws it, where whoever calls does not hold the task. */
async function notHeld<T>(outcome: Promise<T>, key: string): Promise<T> {
  const thrown = (code: unknown): Fault | undefined => {
    if (typeof code !== "number" || !NOT_HELD.has(code)) return undefined;
    return new Fault("TASK_NOT_HELD", `task ${key} is not held any more`);
  };
  try {
    const value = await outcome;
    const fault = thrown(value);
    if (fault) throw fault;
    return value;
  } catch (error) {
    throw thrown((error as { readonly code?: unknown }).code) ?? error;
  }
}
