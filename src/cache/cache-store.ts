import type { CallContext, CallSignal } from "../base/call-context.ts";

/** An object as it is kept. */
export interface CachedObject {
  /** An encoded payload. */
  readonly value: Uint8Array;
  /** Since the Unix epoch, by the clock of who saved it. Unit: ms. */
  readonly createdAtMs: number;
  /** 0: it stays. */
  readonly expireTimestampMs: number;
  /** When it was loaded before; 0: never. */
  readonly readAtMs: number;
  /** Another one after each saving. */
  readonly revision: number;
}

/** A lock that was just taken or renewed. */
export interface TakenLock {
  /** Greater than that of every earlier lock of the key. */
  readonly fencingToken: number;
  /** Since the Unix epoch, by Redis' clock. Unit: ms. */
  readonly expireTimestampMs: number;
}

/** A lock that somebody has. */
export interface HeldLock extends TakenLock {
  readonly key: string;
  readonly holder: string;
}

/** Who wants to write a key. */
export interface Writer {
  readonly holder: string;
  /** Of a lock of the key, which must still be held; 0: none. */
  readonly fencingToken: number;
}

export interface NewObject {
  /** An encoded payload. */
  readonly value: Uint8Array;
  /** Undefined: it stays. Unit: ms. */
  readonly lifetimeMs: number | undefined;
}

/** Why nothing was written: another holder has the lock, or the writer's own was lost. */
export type Barred = "locked" | "lost";

/** A list, or a part of one. */
export interface ListPart {
  /** Encoded payloads. */
  readonly items: readonly Uint8Array[];
  /** Another part follows. */
  readonly isContinued: boolean;
}

/** What a key has. */
export interface CacheEntry {
  readonly key: string;
  readonly content: CachedObject | ListPart;
}

/** How far a scan has come. */
export interface ScanProgress {
  readonly shardsDone: number;
  readonly shards: number;
  /** Keys of these shards that were looked at, of the cache or not: about so many. */
  readonly keysSeen: number;
  readonly keysTotal: number;
}

/** What one step of a scan has found. */
export interface ScanStep<T> {
  readonly found: readonly T[];
  readonly progress: ScanProgress;
}

export type Scan<T> = AsyncGenerator<ScanStep<T>, void, undefined>;

/**
 * Objects, lists and locks, for all nodes. Every method rejects with UNAVAILABLE, where nothing was done; those that write also with INDETERMINATE, where it may have been done, and with
 * RESOURCE_EXHAUSTED, where Redis is out of memory; and those of one kind of content with WRONG_KIND.
 */
export interface CacheStore {
  /** Resolves with the revision. `unlock`: gives the writer's lock back in the same step. */
  save(key: string, writer: Writer, object: NewObject, unlock: boolean, context: CallContext): Promise<number | Barred>;
  /** `lifetimeMs`: from now on, for an object that has a lifetime. */
  load(
    key: string,
    holder: string,
    lifetimeMs: number | undefined,
    context: CallContext,
  ): Promise<CachedObject | "locked" | undefined>;
  /** Whether there was something. */
  destroy(key: string, writer: Writer, context: CallContext): Promise<boolean | Barred>;
  /** Resolves with the revision; with "differs" where another object is there than the one of `expectedRevision`. 0: none is expected. */
  compareAndSet(
    key: string,
    writer: Writer,
    expectedRevision: number,
    object: NewObject,
    context: CallContext,
  ): Promise<number | Barred | "differs">;
  /** The object; else the lock, in the same step; else "locked". */
  getOrLock(
    key: string,
    holder: string,
    lockMs: number,
    context: CallContext,
  ): Promise<CachedObject | TakenLock | "locked">;
  /** Undefined: somebody has it, be it the same holder. */
  lock(key: string, holder: string, lockMs: number, context: CallContext): Promise<TakenLock | undefined>;
  /** Whether nobody has the lock now. With a fencing token: whether this lock was given back. */
  unlock(key: string, writer: Writer, context: CallContext): Promise<boolean>;
  isFree(key: string, holder: string, context: CallContext): Promise<boolean>;
  /** Undefined: it was lost. */
  renewLock(key: string, fencingToken: number, lockMs: number, context: CallContext): Promise<TakenLock | undefined>;
  /** Resolves with how long the list is. `item`: an encoded payload. */
  push(key: string, item: Uint8Array, context: CallContext): Promise<number>;
  pop(key: string, context: CallContext): Promise<Uint8Array | undefined>;
  listLength(key: string, context: CallContext): Promise<number>;
  /** Keys of objects and lists that match the pattern; some may come twice. Ends early, between two steps, once the signal aborts. */
  keys(pattern: string, signal: CallSignal): Scan<string>;
  locks(pattern: string, signal: CallSignal): Scan<HeldLock>;
  /** Deletes what `keys` would find; each step has found what was deleted. */
  clear(pattern: string, signal: CallSignal): Scan<string>;
  /** The parts of a list follow each other. */
  dump(pattern: string, signal: CallSignal): Scan<CacheEntry>;
  /** Puts an object there as it was dumped. */
  restoreObject(key: string, object: CachedObject): Promise<void>;
  /** Puts a list there once its last part has come: `restoreId` is the same for all of its parts, and of no other list. */
  restoreList(key: string, part: ListPart, restoreId: string): Promise<void>;
}
