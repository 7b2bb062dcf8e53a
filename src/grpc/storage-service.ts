import type { ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { StorageHandler, StorageMethod } from "../storage/storage-requests.ts";
import type { Definitions } from "./definitions.ts";
import { passedThrough } from "./pass-through.ts";
import { type StreamAnswer, serverStream } from "./server-stream.ts";
import { type UnaryParts, unary } from "./unary.ts";

export interface StorageServiceParts extends UnaryParts {
  /** Each takes the encoded request and resolves with the encoded response. */
  readonly requests: Readonly<Record<StorageMethod, StorageHandler>>;
  readonly list: StreamAnswer;
  readonly watch: StreamAnswer;
}

export function storageServiceDefinition({ storage }: Definitions): ServiceDefinition {
  return {
    Get: passedThrough(storage.Get),
    Put: passedThrough(storage.Put),
    CompareAndSet: passedThrough(storage.CompareAndSet),
    Delete: passedThrough(storage.Delete),
    GrantLease: passedThrough(storage.GrantLease),
    RenewLease: passedThrough(storage.RenewLease),
    RevokeLease: passedThrough(storage.RevokeLease),
    GetLease: passedThrough(storage.GetLease),
    List: passedThrough(storage.List),
    Watch: passedThrough(storage.Watch),
  } satisfies Record<StorageMethod | "List" | "Watch", unknown>;
}

export function storageService(parts: StorageServiceParts): UntypedServiceImplementation {
  const requests = Object.entries(parts.requests).map(
    ([name, answer]) => [name, unary<Uint8Array, Uint8Array>(parts, answer)] as const,
  );
  const streams = { List: serverStream(parts, parts.list), Watch: serverStream(parts, parts.watch) };
  return { ...Object.fromEntries(requests), ...streams };
}
