import { Buffer } from "node:buffer";
import type { NewTask } from "../tasks/task-store.ts";
import { slotOf } from "./key-slot.ts";
import { RedisScript, type SlotKeys } from "./redis-script.ts";
import type { ReplicaConfirmation } from "./replica-confirmation.ts";
import type { StoreClient } from "./store-client.ts";
import { storedPayload } from "./task-payload.ts";

/** Tasks and bytes of one request: whatever else wants something of that Redis waits meanwhile, a few ms at most. */
const MAX_TASKS = 256;
const MAX_BYTES = 512 * 1024;

/**
 * What BullMQ's `addStandardJob` does, for many jobs in one run: a twentieth of Redis' time for each. A job whose key is there is the same job. BullMQ's events are left out, which nobody here reads. KEYS: wait, meta, id, active, marker. ARGV: what precedes a job's key, then of
 * each job its id, name, data, options and time.
 */
const ADD = new RedisScript(`#!lua
local call = redis.call
local added = {}
for i = 2, #ARGV, 5 do
  local id = ARGV[i]
  local job = ARGV[1] .. id
  if call('EXISTS', job) == 0 then
    call('HSET', job, 'name', ARGV[i + 1], 'data', ARGV[i + 2], 'opts', ARGV[i + 3], 'timestamp', ARGV[i + 4], 'delay', '0', 'priority', '0')
    added[#added + 1] = id
  end
end
if #added == 0 then return 0 end
call('INCRBY', KEYS[3], #added)
call('LPUSH', KEYS[1], unpack(added))
local meta = call('HMGET', KEYS[2], 'paused', 'concurrency')
local isMaxed = meta[2] and call('LLEN', KEYS[4]) >= tonumber(meta[2])
if not meta[1] and not isMaxed then call('ZADD', KEYS[5], 0, '0') end
return #added
`);

interface Batch {
  readonly args: string[];
  count: number;
  bytes: number;
  readonly done: PromiseWithResolvers<void>;
}

export interface TaskAddsParts {
  readonly client: StoreClient;
  readonly confirmation: ReplicaConfirmation;
  /** A key of the partition by its last part. */
  readonly toKey: (name: string) => string;
}

/** Enqueues tasks to one partition that are due at once: those of one turn in one request. */
export class TaskAdds {
  readonly #parts: TaskAddsParts;
  readonly #keys: SlotKeys;
  #batch: Batch | undefined;

  constructor(parts: TaskAddsParts) {
    this.#parts = parts;
    const keys = ["wait", "meta", "id", "active", "marker"].map(parts.toKey);
    this.#keys = { slot: slotOf(Buffer.from(keys[0] ?? "")), keys };
  }

  /** Resolves once the task is there, and a replica has it, where there is one. Rejects as StoreClient and ReplicaConfirmation do. */
  add({ key, name, args, attempts, backoffMs, enqueuedAtMs }: NewTask): Promise<void> {
    const data = storedPayload(args);
    if (this.#batch && this.#batch.bytes + data.length > MAX_BYTES) this.#leave();
    const batch = this.#batch ?? this.#begin();
    const options = backoffMs > 0 ? `{"attempts":${attempts},"backoff":${backoffMs}}` : `{"attempts":${attempts}}`;
    batch.args.push(key, name, data, options, String(enqueuedAtMs));
    batch.bytes += data.length;
    if (++batch.count === MAX_TASKS) this.#leave();
    return batch.done.promise;
  }

  #begin(): Batch {
    const batch = { args: [this.#parts.toKey("")], count: 0, bytes: 0, done: Promise.withResolvers<void>() };
    this.#batch = batch;
    process.nextTick(() => {
      if (this.#batch === batch) this.#leave();
    });
    return batch;
  }

  #leave(): void {
    const batch = this.#batch;
    this.#batch = undefined;
    if (batch) this.#send(batch.args).then(batch.done.resolve, batch.done.reject);
  }

  async #send(args: readonly string[]): Promise<void> {
    const { client, confirmation } = this.#parts;
    const { connection } = await ADD.send(client, this.#keys, args);
    await confirmation.of(connection);
  }
}
