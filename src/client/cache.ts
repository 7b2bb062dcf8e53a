import { Buffer } from "node:buffer";
import { Fault, isFaultCode } from "../base/fault.ts";
import { type JsonValue, payloadOf, payloadValue } from "../base/json-payload.ts";
import type { MessageCodec } from "../base/message.ts";
import {
  type cacheLock,
  type cacheObject,
  checkLockRequest,
  checkLockResponse,
  compareAndSetRequest,
  compareAndSetResponse,
  destroyRequest,
  destroyResponse,
  getOrLockRequest,
  getOrLockResponse,
  keyRequest,
  lengthResponse,
  loadManyRequest,
  loadOutcome,
  loadRequest,
  loadResponse,
  lockRequest,
  lockResponse,
  manyResponse,
  popResponse,
  pushRequest,
  renewLockRequest,
  saveManyRequest,
  saveOutcome,
  saveRequest,
  unlockRequest,
  unlockResponse,
} from "../cache/cache-codec.ts";
import { checkLifetime, checkLockTime } from "../cache/cache-faults.ts";
import { METHOD, type Method } from "../mesh/method.ts";
import type { RpcOptions } from "./rpc-channel.ts";

/** JSON, or bytes. */
export type CacheValue = JsonValue | Uint8Array;

/** An object and what is known of it. */
export interface CachedObject {
  readonly key: string;
  /** A Buffer where bytes were saved; else what the JSON says. */
  readonly value: JsonValue | Buffer;
  /** When it was saved, by the clock of the coordinator that did, as are these times. */
  readonly createdAt: Date;
  /** Null: it stays. */
  readonly expireTimestamp: Date | null;
  /** When it was loaded before; null: never. */
  readonly readAt: Date | null;
  /** Another one after each saving: what compareAndSet expects. */
  readonly revision: number;
}

/** A lock that was just taken or renewed. */
export interface CacheLock {
  /** Greater than that of every earlier lock of the key. */
  readonly fencingToken: number;
  readonly expireTimestamp: Date;
}

export interface HolderOptions extends RpcOptions {
  /** Who asks: what one holder has locked it may use itself. Default: the coordinator that is asked, by its name. */
  readonly holder?: string;
}

export interface WriteOptions extends HolderOptions {
  /** Of a lock of the key: nothing is written where it was lost. Default: none. */
  readonly fencingToken?: number;
}

export interface SaveOptions extends WriteOptions {
  /** Time to live. Default: it stays. Unit: ms. */
  readonly lifetimeMs?: number;
}

export interface CacheLoadOptions extends HolderOptions {
  /** From now on, for an object that has a lifetime. Default: it keeps the end it has. Unit: ms. */
  readonly lifetimeMs?: number;
  /** How long to wait for a lock that another holder has. Default: 0. Unit: ms. */
  readonly retryMs?: number;
}

export interface LockOptions extends HolderOptions {
  /** Default: the coordinator's cacheLockMs, 10 s. Unit: ms. */
  readonly lockMs?: number;
}

/** What getOrLock resolves with: the object, or the task to save it, with `fencingToken` and `unlock`. */
export type ObjectOrLock =
  | { readonly object: CachedObject; readonly lock?: undefined }
  | { readonly lock: CacheLock; readonly object?: undefined };

/** How requests reach a coordinator. */
export type StreamRequest = (method: Method, body: Uint8Array, options: RpcOptions) => Promise<Uint8Array>;

/** A lock that is needed for as long as something is worked out is renewed after this part of its time. */
const RENEWAL_SHARE = 1 / 3;
const DEFAULT_FILL_LOCK_MS = 10_000;

/** Objects, lists and locks that all nodes share. Locks that were taken here are given back when the stream to the coordinator ends, also with this process. Every method rejects with a Fault. */
export class Cache {
  readonly #request: StreamRequest;

  constructor(request: StreamRequest) {
    this.#request = request;
  }

  /** Saves an object, whatever was there. Rejects with OBJECT_LOCKED ("Object locked") and LOCK_LOST. */
  async save(key: string, value: CacheValue, options: SaveOptions = {}): Promise<true> {
    await this.#request(METHOD.CACHE_SAVE, encodeSave(key, value, false, options), options);
    return true;
  }

  /** Rejects with OBJECT_NOT_FOUND ("Object not found") and OBJECT_LOCKED ("Object locked"). */
  async load(key: string, options: CacheLoadOptions = {}): Promise<CachedObject> {
    const { lifetimeMs, holder = "", retryMs = 0 } = options;
    checkLifetime(lifetimeMs);
    const body = encode(loadRequest, { key, lifetimeMs, holder, retryMs });
    const { object } = loadResponse.decode(await this.#request(METHOD.CACHE_LOAD, body, options));
    return objectOf(key, object);
  }

  /** Deletes an object or a list. Whether there was one. */
  async destroy(key: string, options: WriteOptions = {}): Promise<boolean> {
    const { holder = "", fencingToken = 0 } = options;
    const body = encode(destroyRequest, { key, holder, fencingToken });
    return destroyResponse.decode(await this.#request(METHOD.CACHE_DESTROY, body, options)).destroyed;
  }

  /** Saves an object if the one that is there has `expectedRevision`; 0: if none is there. Resolves with its revision, or with undefined where that is not so. */
  async compareAndSet(
    key: string,
    expectedRevision: number,
    value: CacheValue,
    options: SaveOptions = {},
  ): Promise<number | undefined> {
    const { lifetimeMs, holder = "", fencingToken = 0 } = options;
    checkLifetime(lifetimeMs);
    const request = { key, expectedRevision, value: payloadOf(value), lifetimeMs, holder, fencingToken };
    const body = encode(compareAndSetRequest, request);
    const answer = compareAndSetResponse.decode(await this.#request(METHOD.CACHE_COMPARE_AND_SET, body, options));
    return answer.isSet ? answer.revision : undefined;
  }

  /**
   * The object, or the task to save it: of all who ask at the same time one gets that, and the others wait until it has saved the object with its `fencingToken` and `unlock`, or has lost the lock.
   * Rejects with DEADLINE_EXCEEDED where nothing comes in time. See `getOrFill`.
   */
  async getOrLock(key: string, options: LockOptions = {}): Promise<ObjectOrLock> {
    const { lockMs, holder = "" } = options;
    checkLockTime(lockMs);
    const body = encode(getOrLockRequest, { key, lockMs, holder });
    const { object, lock } = getOrLockResponse.decode(await this.#request(METHOD.CACHE_GET_OR_LOCK, body, options));
    return lock ? { lock: lockOf(lock) } : { object: objectOf(key, object) };
  }

  /** Saves what was to be saved for the lock of `getOrLock`, and gives the lock back, in one step. Rejects with LOCK_LOST. */
  async fill(key: string, lock: CacheLock, value: CacheValue, options: SaveOptions = {}): Promise<void> {
    const { fencingToken } = lock;
    await this.#request(METHOD.CACHE_SAVE, encodeSave(key, value, true, { ...options, fencingToken }), options);
  }

  /**
   * The value of the key; where it is missing, what `fill` works out, which is saved. It runs in one process at a time, in the whole cluster, while the others wait; its lock is renewed until it is
   * done. Where it fails, so does this call, and somebody else tries.
   */
  async getOrFill(
    key: string,
    fill: () => Promise<CacheValue> | CacheValue,
    options: LockOptions & Pick<SaveOptions, "lifetimeMs"> = {},
  ): Promise<JsonValue | Uint8Array> {
    const { lockMs = DEFAULT_FILL_LOCK_MS } = options;
    const { object, lock } = await this.getOrLock(key, { ...options, lockMs });
    if (object) return object.value;
    const { fencingToken } = lock;
    const renew = () => this.renewLock(key, fencingToken, { ...options, lockMs }).catch(() => undefined);
    const renewing = setInterval(() => void renew(), lockMs * RENEWAL_SHARE);
    try {
      const value = await fill();
      await this.fill(key, lock, value, options);
      return value;
    } catch (thrown) {
      await this.unlock(key, { fencingToken }).catch(() => undefined);
      throw thrown;
    } finally {
      clearInterval(renewing);
    }
  }

  /** Undefined: somebody has locked the key, be it the same holder. */
  async lock(key: string, options: LockOptions = {}): Promise<CacheLock | undefined> {
    const { lockMs, holder = "" } = options;
    checkLockTime(lockMs);
    const { lock } = lockResponse.decode(
      await this.#request(METHOD.CACHE_LOCK, encode(lockRequest, { key, lockMs, holder }), options),
    );
    return lock && lockOf(lock);
  }

  /** False: another holder has the lock; with a fencing token: it was lost. */
  async unlock(key: string, options: WriteOptions = {}): Promise<boolean> {
    const { holder = "", fencingToken = 0 } = options;
    const body = encode(unlockRequest, { key, holder, fencingToken });
    return unlockResponse.decode(await this.#request(METHOD.CACHE_UNLOCK, body, options)).unlocked;
  }

  /** Whether no other holder has locked the key, now or within `retryMs`. */
  async checkLock(key: string, options: HolderOptions & Pick<CacheLoadOptions, "retryMs"> = {}): Promise<boolean> {
    const { holder = "", retryMs = 0 } = options;
    const body = encode(checkLockRequest, { key, holder, retryMs });
    return checkLockResponse.decode(await this.#request(METHOD.CACHE_CHECK_LOCK, body, options)).isFree;
  }

  /** Makes the lock last so long from now on. Undefined: it was lost. */
  async renewLock(key: string, fencingToken: number, options: LockOptions = {}): Promise<CacheLock | undefined> {
    const { lockMs } = options;
    checkLockTime(lockMs);
    const body = encode(renewLockRequest, { key, fencingToken, lockMs });
    const { lock } = lockResponse.decode(await this.#request(METHOD.CACHE_RENEW_LOCK, body, options));
    return lock && lockOf(lock);
  }

  /** Adds an item to the end of a list; how long that is now. Rejects with WRONG_KIND. */
  async push(key: string, item: CacheValue, options: RpcOptions = {}): Promise<number> {
    const body = encode(pushRequest, { key, item: payloadOf(item) });
    return lengthResponse.decode(await this.#request(METHOD.CACHE_PUSH, body, options)).length;
  }

  /** Takes the first item of a list; null: it is empty. */
  async pop(key: string, options: RpcOptions = {}): Promise<JsonValue | Buffer> {
    const { item } = popResponse.decode(await this.#request(METHOD.CACHE_POP, encode(keyRequest, { key }), options));
    return item === undefined ? null : ownValue(item);
  }

  async listLength(key: string, options: RpcOptions = {}): Promise<number> {
    const body = encode(keyRequest, { key });
    return lengthResponse.decode(await this.#request(METHOD.CACHE_LIST_LENGTH, body, options)).length;
  }

  /** Saves several objects, each by itself, with one round trip to each shard. Resolves with the fault of each that was not saved, by its key. */
  async saveMany(
    values: ReadonlyMap<string, CacheValue>,
    options: Omit<SaveOptions, "fencingToken"> = {},
  ): Promise<ReadonlyMap<string, Fault>> {
    const { lifetimeMs, holder = "" } = options;
    checkLifetime(lifetimeMs);
    const saves = [...values].map(([key, value]) =>
      saveRequest.encode({ key, value: payloadOf(value), lifetimeMs, holder, fencingToken: 0, unlock: false }),
    );
    const body = encode(saveManyRequest, { saves });
    const { outcomes } = manyResponse.decode(await this.#request(METHOD.CACHE_SAVE_MANY, body, options));
    const faults = [...values.keys()].flatMap((key, index) => {
      const { fault } = saveOutcome.decode(outcomes[index] ?? new Uint8Array());
      return fault ? [[key, faultOf(fault)] as const] : [];
    });
    return new Map(faults);
  }

  /** Loads several objects, each by itself, with one round trip to each shard. Resolves with each object, or with why there is none, by its key. */
  async loadMany(
    keys: readonly string[],
    options: Omit<CacheLoadOptions, "retryMs"> = {},
  ): Promise<ReadonlyMap<string, CachedObject | Fault>> {
    const { lifetimeMs, holder = "" } = options;
    checkLifetime(lifetimeMs);
    const body = encode(loadManyRequest, { keys, lifetimeMs, holder });
    const { outcomes } = manyResponse.decode(await this.#request(METHOD.CACHE_LOAD_MANY, body, options));
    const loaded = keys.map((key, index) => {
      const { object, fault } = loadOutcome.decode(outcomes[index] ?? new Uint8Array());
      return [key, fault ? faultOf(fault) : objectOf(key, object)] as const;
    });
    return new Map(loaded);
  }
}

function encodeSave(key: string, value: CacheValue, unlock: boolean, options: SaveOptions): Uint8Array {
  const { lifetimeMs, holder = "", fencingToken = 0 } = options;
  checkLifetime(lifetimeMs);
  return encode(saveRequest, { key, value: payloadOf(value), lifetimeMs, holder, fencingToken, unlock });
}

/** Throws INVALID_ARGUMENT for what is no number on the wire. */
function encode<T>(codec: MessageCodec<T>, request: T): Uint8Array {
  try {
    return codec.encode(request);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new Fault("INVALID_ARGUMENT", cause.message, { cause });
  }
}

function lockOf({ fencingToken, expireTimestampMs }: Decoded<typeof cacheLock>): CacheLock {
  return { fencingToken, expireTimestamp: new Date(expireTimestampMs) };
}

function objectOf(key: string, object: Decoded<typeof cacheObject> | undefined): CachedObject {
  if (!object?.value) throw new Fault("INTERNAL", "the coordinator sent a malformed answer");
  const { value, createdAtMs, expireTimestampMs, readAtMs, revision } = object;
  return {
    key,
    value: ownValue(value),
    createdAt: new Date(createdAtMs),
    expireTimestamp: dateOf(expireTimestampMs),
    readAt: dateOf(readAtMs),
    revision,
  };
}

function dateOf(ms: number): Date | null {
  return ms === 0 ? null : new Date(ms);
}

/** Bytes are copied: a view would keep the whole message in memory. */
function ownValue(payload: Uint8Array): JsonValue | Buffer {
  const value = payloadValue(payload);
  return value instanceof Uint8Array ? Buffer.from(value) : value;
}

function faultOf({ code, message }: { readonly code: string; readonly message: string }): Fault {
  return new Fault(isFaultCode(code) ? code : "INTERNAL", message);
}

type Decoded<Codec> = Codec extends MessageCodec<infer T> ? T : never;
