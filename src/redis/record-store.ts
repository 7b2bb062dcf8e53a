import { Buffer } from "node:buffer";
import { Fault } from "../base/fault.ts";
import type { RecordStore, StoredRecord } from "../storage/records.ts";
import type { RespConnection } from "./resp-connection.ts";
import type { StoreClient } from "./store-client.ts";

/**
 * Writes a record if its revision is the expected one. Replies whether it did, and whether a replica is in sync, for which the caller then waits.
 * A record is kept as its revision, a colon, and its value.
 */
const COMPARE_AND_SET = `
local current = redis.call('HGET', KEYS[1], ARGV[1])
local revision = current and string.match(current, '^(%d+):') or '0'
if revision ~= ARGV[2] then return {0, 0} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ':' .. ARGV[4])
local hasReplica = string.find(redis.call('INFO', 'replication'), 'state=online', 1, true)
return {1, hasReplica and 1 or 0}
`;

/** Longest a write waits for a replica to have it too, unless told otherwise: a busy replica confirms late. Unit: ms. */
const REPLICA_TIMEOUT_MS = 2000;

/** One hash for each collection, at `<namespace>:{<collection>}`. */
export class RedisRecordStore implements RecordStore {
  readonly #client: StoreClient;
  readonly #namespace: string;
  readonly #replicaTimeoutMs: number;

  constructor(client: StoreClient, namespace: string, replicaTimeoutMs = REPLICA_TIMEOUT_MS) {
    this.#client = client;
    this.#namespace = namespace;
    this.#replicaTimeoutMs = replicaTimeoutMs;
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
    const { reply, connection } = await this.#client.command(key, ["EVAL", COMPARE_AND_SET, "1", key, ...values]);
    const [written, hasReplica] = Array.isArray(reply) ? reply : [];
    if (written === 1n && hasReplica === 1n) await this.#awaitReplica(connection);
    return written === 1n;
  }

  /** WAIT is about what its own connection wrote; a connection that was lost since then refuses it. */
  async #awaitReplica(connection: RespConnection): Promise<void> {
    const confirmed = await connection.command(["WAIT", "1", String(this.#replicaTimeoutMs)]).catch(() => undefined);
    if (typeof confirmed === "bigint" && confirmed >= 1n) return;
    const text = `the record was written, but no replica confirmed it within ${this.#replicaTimeoutMs} ms`;
    throw new Fault("INDETERMINATE", text);
  }

  #keyOf(collection: string): string {
    return `${this.#namespace}:{${collection}}`;
  }
}

/** A reading that was sent and not answered changed nothing. */
function readFailed(thrown: unknown): never {
  const fault = Fault.from(thrown);
  throw fault.code === "INDETERMINATE" ? new Fault("UNAVAILABLE", fault.message, { cause: fault }) : fault;
}

function decodeRecord(bytes: Buffer): StoredRecord {
  const colon = bytes.indexOf(":");
  return { revision: Number(bytes.toString("latin1", 0, colon)), value: bytes.subarray(colon + 1) };
}
