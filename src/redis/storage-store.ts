import { Buffer } from "node:buffer";
import type { Attachment } from "../storage/lease-store.ts";
import type { PutOptions, StorageStore, StoredState, Written } from "../storage/storage-store.ts";
import type { ClusterViewSource } from "../topology/cluster-view.ts";
import { readFailed } from "./read-failure.ts";
import type { RedisScript } from "./redis-script.ts";
import type { ReplicaConfirmation } from "./replica-confirmation.ts";
import { literalPattern, scanKeys } from "./scan-keys.ts";
import { DELETE, DELETE_LEASED, PUT } from "./storage-scripts.ts";
import type { StoreClient } from "./store-client.ts";
import { textsIn } from "./texts-in.ts";

export interface RedisStorageStoreParts {
  readonly client: StoreClient;
  /** For writes that a replica confirms, which holds up what comes behind them. */
  readonly confirmed: StoreClient;
  readonly view: ClusterViewSource;
  readonly replicas: ReplicaConfirmation;
  readonly namespace: string;
  /** How long the revision of a deleted key is remembered. Unit: ms. */
  readonly tombstoneMs: number;
}

/** Longest that revision and lease of a value may be, and a byte of its payload. */
const HEADER_BYTES = 128;

const NOTHING: StoredState = { revision: 0, value: undefined, leaseId: undefined };

/** One string for each key, at `<namespace>:value:<key>`: so a hash tag in a key is that of its Redis key, too. */
export class RedisStorageStore implements StorageStore {
  readonly #parts: RedisStorageStoreParts;
  readonly #prefix: string;

  constructor(parts: RedisStorageStoreParts) {
    this.#parts = parts;
    this.#prefix = `${parts.namespace}:value:`;
  }

  async get(key: string): Promise<StoredState> {
    const redisKey = this.#prefix + key;
    const { reply } = await this.#parts.client.command(redisKey, ["GET", redisKey]).catch(readFailed);
    return Buffer.isBuffer(reply) ? decodeState(reply) : NOTHING;
  }

  async head(key: string): Promise<number | undefined> {
    const redisKey = this.#prefix + key;
    const command = ["GETRANGE", redisKey, "0", String(HEADER_BYTES - 1)];
    const { reply } = await this.#parts.client.command(redisKey, command).catch(readFailed);
    const { revision, value } = Buffer.isBuffer(reply) && reply.length > 0 ? decodeState(reply) : NOTHING;
    return value === undefined ? undefined : revision;
  }

  put(key: string, value: Uint8Array, { lease, expectedRevision }: PutOptions = {}): Promise<Written> {
    return this.#write(PUT, key, [value, encodeLease(lease), ...texts(expectedRevision)]);
  }

  delete(key: string, expectedRevision?: number): Promise<Written> {
    return this.#write(DELETE, key, [String(this.#parts.tombstoneMs), ...texts(expectedRevision)]);
  }

  deleteLeased(key: string, leaseId: string): Promise<Written> {
    return this.#write(DELETE_LEASED, key, [String(this.#parts.tombstoneMs), leaseId]);
  }

  async *keys(prefix: string): AsyncGenerator<readonly string[], void, undefined> {
    const { client, view } = this.#parts;
    for await (const { keys } of scanKeys(client, view, `${literalPattern(this.#prefix + prefix)}*`)) {
      yield keys.map((key) => key.slice(this.#prefix.length));
    }
  }

  async #write(script: RedisScript, key: string, args: readonly (string | Uint8Array)[]): Promise<Written> {
    const { confirmed, replicas } = this.#parts;
    const { reply, connection } = await script.send(confirmed, this.#prefix + key, args);
    const [isWritten, revision, lease = ""] = textsIn(reply);
    const written = { isWritten: isWritten === "1", revision: Number(revision), formerLease: decodeLease(lease) };
    return { ...written, durability: written.isWritten ? await replicas.of(connection) : undefined };
  }
}

function texts(revision: number | undefined): string[] {
  return revision === undefined ? [] : [String(revision)];
}

function encodeLease(lease: Attachment | undefined): string {
  return lease === undefined ? "" : `${lease.leaseId}.${lease.number}`;
}

function decodeLease(text: string): Attachment | undefined {
  const [leaseId = "", number] = text.split(".");
  return leaseId === "" ? undefined : { leaseId, number: Number(number) };
}

/** See storage-scripts. */
function decodeState(bytes: Buffer): StoredState {
  const first = bytes.indexOf(":");
  const second = bytes.indexOf(":", first + 1);
  const value = bytes.subarray(second + 1);
  return {
    revision: Number(bytes.toString("latin1", 0, first)),
    value: value.length > 0 ? value : undefined,
    leaseId: decodeLease(bytes.toString("latin1", first + 1, second))?.leaseId,
  };
}
