import type { handleClientStreamingCall, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { Fault } from "../base/fault.ts";
import type { CacheHandler, CacheMethod } from "../cache/cache-requests.ts";
import type { CacheRestore } from "../cache/cache-restore.ts";
import type { CacheScanMethod } from "../cache/cache-scans.ts";
import type { Definitions } from "./definitions.ts";
import { passedThrough } from "./pass-through.ts";
import { type StreamAnswer, serverStream } from "./server-stream.ts";
import { statusOf } from "./status.ts";
import { type UnaryParts, unary } from "./unary.ts";

export interface CacheServiceParts extends UnaryParts {
  /** Each takes the encoded request and resolves with the encoded response. */
  readonly requests: Readonly<Record<CacheMethod, CacheHandler>>;
  readonly scans: Readonly<Record<CacheScanMethod, StreamAnswer>>;
  /** One call of Restore. */
  readonly restore: () => CacheRestore;
}

export function cacheServiceDefinition({ cache }: Definitions): ServiceDefinition {
  return {
    Save: passedThrough(cache.Save),
    Load: passedThrough(cache.Load),
    Destroy: passedThrough(cache.Destroy),
    CompareAndSet: passedThrough(cache.CompareAndSet),
    GetOrLock: passedThrough(cache.GetOrLock),
    Lock: passedThrough(cache.Lock),
    Unlock: passedThrough(cache.Unlock),
    CheckLock: passedThrough(cache.CheckLock),
    RenewLock: passedThrough(cache.RenewLock),
    Push: passedThrough(cache.Push),
    Pop: passedThrough(cache.Pop),
    ListLength: passedThrough(cache.ListLength),
    SaveMany: passedThrough(cache.SaveMany),
    LoadMany: passedThrough(cache.LoadMany),
    Keys: passedThrough(cache.Keys),
    Locks: passedThrough(cache.Locks),
    Size: passedThrough(cache.Size),
    Clear: passedThrough(cache.Clear),
    Dump: passedThrough(cache.Dump),
    Restore: passedThrough(cache.Restore),
  } satisfies Record<CacheMethod | CacheScanMethod | "Restore", unknown>;
}

export function cacheService(parts: CacheServiceParts): UntypedServiceImplementation {
  const requests = Object.entries(parts.requests).map(
    ([name, answer]) => [name, unary<Uint8Array, Uint8Array>(parts, (body, context) => answer(body, context))] as const,
  );
  const scans = Object.entries(parts.scans).map(([name, answer]) => [name, serverStream(parts, answer)] as const);
  return { ...Object.fromEntries([...requests, ...scans]), Restore: restore(parts) };
}

/** Takes the next request once the one before is done: the client sends as fast as Redis takes it. */
function restore({ restore: begin, observer }: CacheServiceParts): handleClientStreamingCall<Uint8Array, Uint8Array> {
  return async (call, callback) => {
    try {
      const restoring = begin();
      for await (const body of call) await restoring.take(body as Uint8Array);
      callback(null, restoring.finish());
    } catch (thrown) {
      // Cancelled, it ends like this, too.
      const fault = Fault.from(thrown);
      if (fault.code === "INTERNAL" && !call.cancelled) observer.bug(fault.cause ?? fault);
      callback(statusOf(fault));
    }
  };
}
