import { fileURLToPath } from "node:url";
import { loadSync, type Options, type PackageDefinition } from "@grpc/proto-loader";
import type { CacheServiceDefinition } from "./generated/gearmesh/v1/CacheService.ts";
import type { ConnectionServiceDefinition } from "./generated/gearmesh/v1/ConnectionService.ts";
import type { FunctionServiceDefinition } from "./generated/gearmesh/v1/FunctionService.ts";
import type { PubSubServiceDefinition } from "./generated/gearmesh/v1/PubSubService.ts";
import type { RoomServiceDefinition } from "./generated/gearmesh/v1/RoomService.ts";
import type { RpcServiceDefinition } from "./generated/gearmesh/v1/RpcService.ts";
import type { StorageServiceDefinition } from "./generated/gearmesh/v1/StorageService.ts";
import type { TaskServiceDefinition } from "./generated/gearmesh/v1/TaskService.ts";
import type { TopologyServiceDefinition } from "./generated/gearmesh/v1/TopologyService.ts";

const PROTO_ROOT = fileURLToPath(new URL("../../proto", import.meta.url));
const FILES = ["function", "topology", "connection", "rpc", "pubsub", "room", "storage", "cache", "task", "mesh"].map(
  (name) => `gearmesh/v1/${name}.proto`,
);

/** How messages look as objects; the types in `generated/` are made with the same options. */
const OPTIONS: Options = { longs: Number, enums: String, oneofs: true, defaults: true, includeDirs: [PROTO_ROOT] };

export interface Definitions {
  /** Everything, for reflection. */
  readonly packages: PackageDefinition;
  readonly functions: FunctionServiceDefinition;
  readonly topology: TopologyServiceDefinition;
  readonly connections: ConnectionServiceDefinition;
  readonly rpc: RpcServiceDefinition;
  readonly pubSub: PubSubServiceDefinition;
  readonly rooms: RoomServiceDefinition;
  readonly storage: StorageServiceDefinition;
  readonly cache: CacheServiceDefinition;
  readonly tasks: TaskServiceDefinition;
}

/** Reads the public API from `proto/`, the one place where it is written down. */
export function loadDefinitions(): Definitions {
  const packages = loadSync(FILES, OPTIONS);
  return {
    packages,
    functions: serviceOf<FunctionServiceDefinition>(packages, "FunctionService"),
    topology: serviceOf<TopologyServiceDefinition>(packages, "TopologyService"),
    connections: serviceOf<ConnectionServiceDefinition>(packages, "ConnectionService"),
    rpc: serviceOf<RpcServiceDefinition>(packages, "RpcService"),
    pubSub: serviceOf<PubSubServiceDefinition>(packages, "PubSubService"),
    rooms: serviceOf<RoomServiceDefinition>(packages, "RoomService"),
    storage: serviceOf<StorageServiceDefinition>(packages, "StorageService"),
    cache: serviceOf<CacheServiceDefinition>(packages, "CacheService"),
    tasks: serviceOf<TaskServiceDefinition>(packages, "TaskService"),
  };
}

/** The types in `generated/` come from the same files with the same options; nothing else ties them to what is loaded. */
function serviceOf<Definition>(packages: PackageDefinition, name: string): Definition {
  const found: unknown = packages[`gearmesh.v1.${name}`];
  if (!found) throw new Error(`proto/ has no service ${name}`);
  return found as Definition;
}
