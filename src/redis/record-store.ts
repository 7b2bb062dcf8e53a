import { Buffer } from "node:buffer";
import type { RecordStore, StoredRecord } from "../storage/records.ts";
import { readFailed } from "./read-failure.ts";
import { RedisScript } from "./redis-script.ts";
import type { ReplicaConfirmation } from "./replica-confirmation.ts";
import type { StoreClient } from "./store-client.ts";

/** Writes a record if its revision is the expected one; replies whether it did. A record is kept as its revision, a colon, and its value. */
const COMPARE_AND_SET = new RedisScript(`
local current = redis.call('HGET', KEYS[1], ARGV[1])
local revision = current and string.match(current, '^(%d+):') or '0'
if revision ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ':' .. ARGV[4])
return 1
`);

/** One hash for each collection, at `<namespace>:{<collection>}`. */
export class RedisRecordStore implements RecordStore {
  readonly #client: StoreClient;
  readonly #namespace: string;
  readonly #replicas: ReplicaConfirmation;

  constructor(client: StoreClient, namespace: string, replicas: ReplicaConfirmation) {
    this.#client = client;
    this.#namespace = namespace;
    this.#replicas = replicas;
  }

  /** Rejects with UNAVAILABLE. */
  async get(collection: string, id: string): Promise<StoredRecord | undefined> {
    const key = this.#keyOf(collection);
    const { reply } = await this.#client.command(key, ["HGET", key, id]).catch(readFailed);
    return Buffer.isBuffer(reply) ? decodeRecord(reply) : undefined;
  }

  /** Rejects with UNAVAILABLE. */
  async list(collection: string): Promise<ReadonlyMap<string, StoredRecord>> {
    const key = this.#keyOf(collection);
    const { reply } = await this.#client.command(key, ["HGETALL", key]).catch(readFailed);
    const records = new Map<string, StoredRecord>();
    if (!(reply instanceof Map)) return records;
    for (const [id, record] of reply) if (Buffer.isBuffer(record)) records.set(String(id), decodeRecord(record));
    return records;
  }

  /** Also rejects with INDETERMINATE where it was written and no replica confirmed it in time: a failover may lose it. */
  async compareAndSet(collection: string, id: string, expectedRevision: number, next: StoredRecord): Promise<boolean> {
    const key = this.#keyOf(collection);
    const values = [id, String(expectedRevision), String(next.revision), next.value];
    const { reply, connection } = await COMPARE_AND_SET.send(this.#client, key, values);
    if (reply !== 1n) return false;
    await this.#replicas.of(connection);
    return true;
  }

  #keyOf(collection: string): string {
    return `${this.#namespace}:{${collection}}`;
  }
}

function decodeRecord(bytes: Buffer): StoredRecord {
  const colon = bytes.indexOf(":");
  return { revision: Number(bytes.toString("latin1", 0, colon)), value: bytes.subarray(colon + 1) };
}
