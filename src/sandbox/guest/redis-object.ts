import type { Host } from "./host.ts";
import { defineProperty, freeze, parseJson, sliceText } from "./primordials.ts";
import type { Registry } from "./registry.ts";

/** Longest line of a library's log. Unit: characters. */
const MAX_LOG_LINE = 4096;

export interface RedisObjectParts {
  readonly host: Host;
  readonly registry: Registry;
  /** JSON object given at load. */
  readonly config: string;
  readonly apiVersion: string;
  readonly v8Version: string;
}

const NO_TRIGGERS = "streams and keys do not trigger functions";

/** Registrations that this version does not have yet; refusing them at load beats a library whose triggers never fire. */
const UNSUPPORTED = [
  "register_stream_consumer",
  "registerStreamTrigger",
  "register_notifications_consumer",
  "registerKeySpaceTrigger",
];

/** The global `redis`, with both spellings of everything. */
export function createRedisObject({ host, registry, config, apiVersion, v8Version }: RedisObjectParts): object {
  const redis = {
    register_function: (...args: unknown[]) => registry.register("sync", "register_function", args),
    registerFunction: (...args: unknown[]) => registry.register("sync", "registerFunction", args),
    register_async_function: (...args: unknown[]) => registry.register("async", "register_async_function", args),
    registerAsyncFunction: (...args: unknown[]) => registry.register("async", "registerAsyncFunction", args),
    register_remote_function: (...args: unknown[]) => registry.register("remote", "register_remote_function", args),
    registerClusterFunction: (...args: unknown[]) => registry.register("remote", "registerClusterFunction", args),
    register_rpc_method: (...args: unknown[]) => registry.register("method", "register_rpc_method", args),
    registerRpcMethod: (...args: unknown[]) => registry.register("method", "registerRpcMethod", args),
    register_task: (...args: unknown[]) => registry.register("task", "register_task", args),
    registerTask: (...args: unknown[]) => registry.register("task", "registerTask", args),
    register_task_middleware: (...args: unknown[]) => registry.register("middleware", "register_task_middleware", args),
    registerTaskMiddleware: (...args: unknown[]) => registry.register("middleware", "registerTaskMiddleware", args),
    log: (text: unknown) => host.log(sliceText(String(text), 0, MAX_LOG_LINE)),
    config: parseJson(config),
    functionFlags: freeze({ NO_WRITES: "no-writes", ALLOW_OOM: "allow-oom", RAW_ARGUMENTS: "raw-arguments" }),
    v8_version: () => v8Version,
    v8Version: () => v8Version,
    api_version: () => apiVersion,
    apiVersion: () => apiVersion,
  };
  for (let i = 0; i < UNSUPPORTED.length; i++) {
    const name = UNSUPPORTED[i] as string;
    defineProperty(redis, name, { value: () => registry.refuse(`'${name}' is not supported for now: ${NO_TRIGGERS}`) });
  }
  return freeze(redis);
}
