import { Buffer } from "node:buffer";
import type { Cluster, Redis } from "ioredis";
import type { RecordStore, StoredRecord } from "../storage/records.ts";
import type { StoreClient } from "./store-client.ts";
import { readFault, writeFault } from "./store-fault.ts";

/** Longest a write waits for a replica to have it too. Unit: ms. */
const REPLICA_TIMEOUT_MS = 500;

/** Writes a record if its revision is the expected one. A field is `<revision>\n<value>`. */
const COMPARE_AND_SET = `
local current = redis.call('HGET', KEYS[1], ARGV[1])
local revision = current and string.match(current, '^%d+') or '0'
if revision ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. '\\n' .. ARGV[4])
return 1`;

/** Records in Redis: one hash for each collection, so that a collection is on one shard and is listed by one command. */
export class RedisRecordStore implements RecordStore {
  readonly #client: StoreClient;
  readonly #namespace: string;

  constructor(client: StoreClient, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
  }

  async get(collection: string, id: string): Promise<StoredRecord | undefined> {
    try {
      const field = await this.#client.run((redis) => redis.hgetBuffer(this.#key(collection), id));
      return field ? parseField(field) : undefined;
    } catch (error) {
      throw readFault(error);
    }
  }

  async list(collection: string): Promise<ReadonlyMap<string, StoredRecord>> {
    try {
      const fields = await this.#client.run((redis) => redis.hgetallBuffer(this.#key(collection)));
      return new Map(Object.entries(fields).map(([id, field]) => [id, parseField(field)]));
    } catch (error) {
      throw readFault(error);
    }
  }

  async compareAndSet(collection: string, id: string, expectedRevision: number, next: StoredRecord): Promise<boolean> {
    try {
      const key = this.#key(collection);
      const args = [id, expectedRevision, next.revision, Buffer.from(next.value)];
      return await this.#client.run(async (redis) => {
        const written = (await redis.eval(COMPARE_AND_SET, 1, key, ...args)) === 1;
        if (written) await waitForReplica(redis, key);
        return written;
      });
    } catch (error) {
      throw writeFault(error);
    }
  }

  #key(collection: string): string {
    return `${this.#namespace}:{${collection}}`;
  }
}

/**
 * Waits until a replica has our last write, where there is one. What a replica did not confirm in time is written all the same: the caller
 * is told so by nothing, since coordinators keep what they adopted and write it back should the record be lost.
 */
async function waitForReplica(redis: Redis | Cluster, key: string): Promise<void> {
  // EXISTS leads the keyless commands to the shard of the key.
  const replies = await redis.pipeline().exists(key).role().exec();
  const [, role] = replies?.[1] ?? [];
  const replicas: unknown = Array.isArray(role) ? role[2] : undefined;
  if (Array.isArray(replicas) && replicas.length > 0) {
    await redis.pipeline().exists(key).wait(1, REPLICA_TIMEOUT_MS).exec();
  }
}

function parseField(field: Buffer): StoredRecord {
  const end = field.indexOf("\n");
  return { revision: Number(field.toString("latin1", 0, end)), value: field.subarray(end + 1) };
}
