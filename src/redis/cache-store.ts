import { Buffer } from "node:buffer";
import { setTimeout as pause } from "node:timers/promises";
import type { CallContext, CallSignal } from "../base/call-context.ts";
import { remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type {
  Barred,
  CachedObject,
  CacheEntry,
  CacheStore,
  HeldLock,
  ListPart,
  NewObject,
  Scan,
  ScanProgress,
  TakenLock,
  Writer,
} from "../cache/cache-store.ts";
import type { ClusterViewSource } from "../topology/cluster-view.ts";
import { CacheKeys } from "./cache-keys.ts";
import { decodeObject, encodeNumber, encodeObject } from "./cache-object.ts";
import {
  CHECK_LOCK,
  COMPARE_AND_SET,
  DESTROY,
  EXTEND,
  FILL,
  GET_OR_LOCK,
  LOAD,
  LOCK,
  RENEW_LOCK,
  RESTORE_LIST,
  SAVE,
  UNLOCK,
} from "./cache-scripts.ts";
import { readFailed } from "./read-failure.ts";
import type { RedisScript } from "./redis-script.ts";
import { type ScannedKeys, scanKeys } from "./scan-keys.ts";
import type { StoreClient, StoreReply } from "./store-client.ts";

type Reply = StoreReply["reply"];

export interface RedisCacheStoreParts {
  readonly client: StoreClient;
  /** Who has which keys. */
  readonly view: ClusterViewSource;
  readonly namespace: string;
}

/** While a slot moves, Redis runs no script of a key that has no lock, or of a lock without a key: it is tried again after so long. Unit: ms. */
const TRY_AGAIN_MS = 20;
/** Keys of a scan that are read or deleted at the same time; of what is read each may be as large as a value may be. */
const READS = 8;
const DELETIONS = 500;
/** Items of a part of a list, and bytes of them beyond which it takes no more. */
const PART_ITEMS = 1000;
const PART_BYTES = 256 * 1024;
/** How long a list stays of which only the first parts have come. Unit: ms. */
const ABANDONED_MS = 3_600_000;
/** So many are too many to meet twice. */
const MAX_REVISION = 2 ** 52;

/**
 * An object or list at `<namespace>:cache:<key>`, and its lock at `<namespace>:cache-lock:{...}<key>`. Whatever is written of a key is written by one script or command, so it is written as a whole or
 * not at all.
 */
export class RedisCacheStore implements CacheStore {
  readonly #client: StoreClient;
  readonly #view: ClusterViewSource;
  readonly #keys: CacheKeys;

  constructor({ client, view, namespace }: RedisCacheStoreParts) {
    this.#client = client;
    this.#view = view;
    this.#keys = new CacheKeys(namespace);
  }

  async save(
    key: string,
    writer: Writer,
    object: NewObject,
    unlock: boolean,
    context: CallContext,
  ): Promise<number | Barred> {
    const revision = newRevision();
    const reply = await this.#run(unlock ? FILL : SAVE, key, savingArgs(writer, object, revision), context);
    return reply === null ? revision : (String(reply) as Barred);
  }

  async load(
    key: string,
    holder: string,
    lifetimeMs: number | undefined,
    context: CallContext,
  ): Promise<CachedObject | "locked" | undefined> {
    const reply =
      lifetimeMs === undefined
        ? await this.#run(LOAD, key, [holder, encodeNumber(Date.now())], context).catch(readFailed)
        : await this.#run(EXTEND, key, extendingArgs(holder, lifetimeMs), context);
    if (reply === null) return undefined;
    return reply === 0n ? "locked" : objectIn(reply);
  }

  async destroy(key: string, writer: Writer, context: CallContext): Promise<boolean | Barred> {
    const reply = await this.#run(DESTROY, key, writerArgs(writer), context);
    return typeof reply === "bigint" ? reply > 0n : (String(reply) as Barred);
  }

  async compareAndSet(
    key: string,
    writer: Writer,
    expectedRevision: number,
    object: NewObject,
    context: CallContext,
  ): Promise<number | Barred | "differs"> {
    const revision = newRevision();
    const expected = expectedRevision === 0 ? "" : encodeNumber(expectedRevision);
    const args = [...savingArgs(writer, object, revision), expected];
    const reply = await this.#run(COMPARE_AND_SET, key, args, context);
    return reply === null ? revision : (String(reply) as Barred | "differs");
  }

  async getOrLock(
    key: string,
    holder: string,
    lockMs: number,
    context: CallContext,
  ): Promise<CachedObject | TakenLock | "locked"> {
    const reply = await this.#run(GET_OR_LOCK, key, [holder, String(lockMs), encodeNumber(Date.now())], context);
    if (reply === 0n) return "locked";
    return lockIn(reply) ?? objectIn(reply);
  }

  async lock(key: string, holder: string, lockMs: number, context: CallContext): Promise<TakenLock | undefined> {
    return lockIn(await this.#run(LOCK, key, [holder, String(lockMs)], context));
  }

  async unlock(key: string, writer: Writer, context: CallContext): Promise<boolean> {
    return (await this.#run(UNLOCK, key, writerArgs(writer), context)) === null;
  }

  async isFree(key: string, holder: string, context: CallContext): Promise<boolean> {
    return (await this.#run(CHECK_LOCK, key, [holder, "0"], context).catch(readFailed)) === null;
  }

  async renewLock(
    key: string,
    fencingToken: number,
    lockMs: number,
    context: CallContext,
  ): Promise<TakenLock | undefined> {
    return lockIn(await this.#run(RENEW_LOCK, key, [String(fencingToken), String(lockMs)], context));
  }

  async push(key: string, item: Uint8Array): Promise<number> {
    return Number(await this.#command(key, "RPUSH", item));
  }

  async pop(key: string): Promise<Uint8Array | undefined> {
    const reply = await this.#command(key, "LPOP");
    return Buffer.isBuffer(reply) ? reply : undefined;
  }

  async listLength(key: string): Promise<number> {
    return Number(await this.#command(key, "LLEN").catch(readFailed));
  }

  async *keys(pattern: string, signal: CallSignal): Scan<string> {
    for await (const step of this.#scan(this.#keys.objectPattern(pattern), signal)) {
      yield { found: step.keys.map((key) => this.#keys.ofObject(key)), progress: progressOf(step) };
    }
  }

  async *locks(pattern: string, signal: CallSignal): Scan<HeldLock> {
    for await (const step of this.#scan(this.#keys.lockPattern(pattern), signal)) {
      const kept = await inGroups(step.keys, DELETIONS, (key) =>
        this.#client.command(key, ["GET", key]).catch(readFailed),
      );
      const found = step.keys.flatMap((key, index) => {
        const lock = heldLockIn(this.#keys.ofLock(key), kept[index]?.reply);
        return lock ?? [];
      });
      yield { found, progress: progressOf(step) };
    }
  }

  async *clear(pattern: string, signal: CallSignal): Scan<string> {
    for await (const { found, progress } of this.keys(pattern, signal)) {
      const deleted = await inGroups(found, DELETIONS, (key) => this.#command(key, "UNLINK"));
      yield { found: found.filter((_key, index) => deleted[index] === 1n), progress };
    }
  }

  async *dump(pattern: string, signal: CallSignal): Scan<CacheEntry> {
    for await (const { found: keys, progress } of this.keys(pattern, signal)) {
      for (let start = 0; start < keys.length && !signal.aborted; start += READS) {
        const group = keys.slice(start, start + READS);
        const values = await Promise.all(group.map((key) => this.#read(key)));
        for (const [index, key] of group.entries()) {
          const content = values[index];
          if (content === "list") yield* this.#dumpList(key, progress);
          else if (content) yield { found: [{ key, content }], progress };
        }
      }
      yield { found: [], progress };
    }
  }

  async restoreObject(key: string, object: CachedObject): Promise<void> {
    const { expireTimestampMs } = object;
    const end = expireTimestampMs === 0 ? [] : ["PXAT", String(expireTimestampMs)];
    await this.#command(key, "SET", encodeObject(object), ...end);
  }

  async restoreList(key: string, { items, isContinued }: ListPart, restoreId: string): Promise<void> {
    const keys = this.#keys.restoredPlaceOf(key, restoreId);
    await RESTORE_LIST.run(this.#client, keys, [isContinued ? "1" : "0", String(ABANDONED_MS), ...items]);
  }

  /** Undefined: it is gone, or not ours. */
  async #read(key: string): Promise<CachedObject | "list" | undefined> {
    try {
      const reply = await this.#command(key, "GET");
      return Buffer.isBuffer(reply) ? decodeObject(reply) : undefined;
    } catch (thrown) {
      if (Fault.from(thrown).code === "WRONG_KIND") return "list";
      return readFailed(thrown);
    }
  }

  /** In parts, since a list may be long: of one that is changed meanwhile some items may be missing. */
  async *#dumpList(key: string, progress: ScanProgress): Scan<CacheEntry> {
    for (let start = 0, isContinued = true; isContinued; ) {
      const reply = await this.#command(key, "LRANGE", String(start), String(start + PART_ITEMS)).catch(readFailed);
      const read = Array.isArray(reply) ? (reply as readonly Buffer[]) : [];
      const items = firstOf(read.slice(0, PART_ITEMS));
      start += items.length;
      isContinued = items.length < read.length;
      if (items.length > 0) yield { found: [{ key, content: { items, isContinued } }], progress };
    }
  }

  async *#scan(pattern: string, signal: CallSignal): AsyncGenerator<ScannedKeys, void, undefined> {
    for await (const step of scanKeys(this.#client, this.#view, pattern)) {
      if (signal.aborted) return;
      yield step;
    }
  }

  async #command(key: string, name: string, ...args: readonly (string | Uint8Array)[]): Promise<Reply> {
    const at = this.#keys.object(key);
    const { reply } = await this.#client.command(at, [name, at, ...args]).catch(refused);
    return reply;
  }

  #run(
    script: RedisScript,
    key: string,
    args: readonly (string | Uint8Array)[],
    { deadline, signal }: CallContext,
  ): Promise<Reply> {
    const keys = this.#keys.placeOf(key);
    const again = async (thrown: unknown): Promise<Reply> => {
      if (!isTryAgain(thrown) || signal.aborted || remainingMs(deadline) < TRY_AGAIN_MS) return refused(thrown);
      await pause(TRY_AGAIN_MS);
      return script.run(this.#client, keys, args).catch(again);
    };
    return script.run(this.#client, keys, args).catch(again);
  }
}

function writerArgs({ holder, fencingToken }: Writer): string[] {
  return [holder, String(fencingToken)];
}

function savingArgs(writer: Writer, { value, lifetimeMs }: NewObject, revision: number): (string | Uint8Array)[] {
  const createdAtMs = Date.now();
  const expireTimestampMs = lifetimeMs === undefined ? 0 : createdAtMs + lifetimeMs;
  const object = encodeObject({ value, createdAtMs, expireTimestampMs, readAtMs: 0, revision });
  return [writer.holder, String(writer.fencingToken), object, lifetimeMs === undefined ? "" : String(lifetimeMs)];
}

function extendingArgs(holder: string, lifetimeMs: number): (string | Uint8Array)[] {
  const nowMs = Date.now();
  return [holder, encodeNumber(nowMs), String(lifetimeMs), encodeNumber(nowMs + lifetimeMs)];
}

/** It says whether an object is still the same, and nothing else: no two savings have the same one, whoever saves. */
function newRevision(): number {
  return Math.floor(Math.random() * MAX_REVISION) + 1;
}

function objectIn(reply: Reply): CachedObject {
  const object = Buffer.isBuffer(reply) ? decodeObject(reply) : undefined;
  if (!object) throw new Fault("WRONG_KIND", "the key has something that is not of the cache");
  return object;
}

function lockIn(reply: Reply): TakenLock | undefined {
  if (!Array.isArray(reply)) return undefined;
  const [token, end] = reply.map(Number);
  return { fencingToken: token ?? 0, expireTimestampMs: end ?? 0 };
}

/** `<fencing token>:<end>:<holder>`. Undefined: it is over. */
function heldLockIn(key: string, reply: Reply | undefined): HeldLock | undefined {
  const [, token, end, holder = ""] = /^(\d+):(\d+):(.*)$/s.exec(Buffer.isBuffer(reply) ? reply.toString() : "") ?? [];
  if (Number(end ?? 0) <= Date.now()) return undefined;
  return { key, holder, fencingToken: Number(token), expireTimestampMs: Number(end) };
}

function progressOf({ mastersDone, masters, keysSeen, keysTotal }: ScannedKeys): ScanProgress {
  return { shardsDone: mastersDone, shards: masters, keysSeen, keysTotal };
}

/** As many as fit, and one always. */
function firstOf(items: readonly Buffer[]): readonly Buffer[] {
  let bytes = 0;
  const end = items.findIndex((item) => {
    bytes += item.length;
    return bytes > PART_BYTES;
  });
  return end === -1 ? items : items.slice(0, Math.max(1, end));
}

async function inGroups<T, R>(items: readonly T[], size: number, work: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += size) {
    results.push(...(await Promise.all(items.slice(start, start + size).map(work))));
  }
  return results;
}

function isTryAgain(thrown: unknown): boolean {
  return thrown instanceof Fault && thrown.message.includes("refused: TRYAGAIN");
}

function refused(thrown: unknown): never {
  if (thrown instanceof Fault && thrown.message.includes("refused: WRONGTYPE")) {
    const text = "the key has a list where an object is wanted, or the other way round";
    throw new Fault("WRONG_KIND", text, { cause: thrown });
  }
  throw thrown;
}
