import type { z } from "zod";
import type { Address } from "../../base/address.ts";
import { MAX_ISOLATES } from "../../functions/library-header.ts";
import { logLevelPairs } from "./log-levels.ts";
import {
  address,
  addressMap,
  choice,
  integer,
  optionalText,
  type Setting,
  secretText,
  toggle,
  word,
  words,
} from "./setting.ts";
import { TASK_SETTINGS } from "./task-settings.ts";
import { TLS_SETTINGS } from "./tls-settings.ts";
import { TOKEN_SETTINGS } from "./token-settings.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Every setting of a coordinator by its key, which is its name in the configuration file. */
export const SETTINGS = {
  redis: address<Address>({
    doc: "The Redis node this coordinator stands beside.",
    default: { host: "127.0.0.1", port: 6379 },
  }),
  redisSocket: optionalText({
    doc: "Path of that Redis' Unix socket (its `unixsocket`), by which the coordinator and its functions reach it faster than by TCP. `redis` stays its address for everyone else.",
  }),
  redisUsername: optionalText({
    doc: "ACL user for every Redis connection but that of functions.",
    defaultDoc: "Redis' default user",
  }),
  redisPassword: secretText({
    doc: "Password of redisUsername, or of Redis' default user. A flag can be seen by others on the machine: prefer redisPasswordFile.",
  }),
  redisPasswordFile: optionalText({
    doc: "File that holds the Redis password; a line break at its end is not part of it.",
  }),
  functionRedisUsername: optionalText({
    doc: "ACL user for the Redis connection of functions. It needs COMMAND, and every command, key and channel that libraries use. Where it is not set, the coordinator makes a user that may not run what functions are refused, if its own user may (`+command +acl|setuser`); else functions use the coordinator's.",
    defaultDoc: "gearmesh:(namespace):functions, made by the coordinator",
  }),
  functionRedisPassword: secretText({
    doc: "Password of functionRedisUsername. A flag can be seen by others on the machine: prefer functionRedisPasswordFile.",
  }),
  functionRedisPasswordFile: optionalText({
    doc: "File that holds the password of functionRedisUsername; a line break at its end is not part of it.",
  }),

  listen: address<Address | undefined>({
    doc: "Where the gRPC server listens, for clients and other coordinators.",
    default: undefined,
    defaultDoc: "127.0.0.1:(port of redis + peerPortOffset)",
  }),
  opsListen: address<Address | undefined>({
    doc: "Where /metrics, /ready and /live are served over HTTP, without a token unless metricsNeedToken asks for one.",
    default: undefined,
    defaultDoc: "127.0.0.1:(port of redis + 2000)",
  }),
  allowInsecure: toggle({
    doc: "Whether listen may be an address that other machines reach although there is no TLS: tokens and data then cross the network in the clear.",
    default: false,
  }),
  ...TLS_SETTINGS,
  ...TOKEN_SETTINGS,
  namespace: word({
    doc: "The deployment. It prefixes every key of gearmesh in Redis, and only coordinators of the same one link, so two deployments can share a Redis.",
    default: "gearmesh",
  }),
  identity: optionalText({
    doc: "Stays the same over restarts of this coordinator and reclaims its node name.",
    defaultDoc: "id of the Redis node",
  }),
  nodeNumber: integer({
    doc: "The number of the node name that a start of this coordinator asks for: `(namespace)-3` for 3. Where another coordinator has it, or with 0, it is the one that it had before, or the lowest free one.",
    min: 0,
    max: 1_000_000,
    default: 0,
  }),

  mode: choice({
    doc: "How the topology is learnt: auto reads it at start, on MOVED, on link loss and every topologyIntervalMs; manual only on RefreshCluster, and until then each shard acts as a single instance.",
    of: ["auto", "manual"],
    default: "auto",
  }),
  topologyIntervalMs: integer({
    doc: "Time between two readings of the topology in auto mode.",
    unit: "ms",
    min: 100,
    max: HOUR_MS,
    default: 1000,
  }),
  leaseMs: integer({
    doc: "The ownership lease: a coordinator answers for its shard only while a majority of the masters' coordinators has confirmed within this time what it owns, so that no answer is older than this after a majority knew another owner. Below Redis' cluster-node-timeout, so that it ends before a failover. Auto mode and three masters at least; 0 turns it off.",
    unit: "ms",
    min: 0,
    max: HOUR_MS,
    default: 5000,
  }),
  peerPortOffset: integer({
    doc: "A Redis node's coordinator is looked for on the same host at the Redis port plus this.",
    min: 1,
    max: 50_000,
    default: 1000,
  }),
  peerAddresses: addressMap({
    doc: "Coordinators that are not where peerPortOffset says, by the address of their Redis node. In the file an object may be used.",
    default: new Map(),
    defaultDoc: "none",
  }),

  activityLeaseMs: integer({
    doc: "Where two coordinators stand beside one Redis, the one that stands by takes over from one that Redis has not heard for this long.",
    unit: "ms",
    min: 1000,
    max: 10 * MINUTE_MS,
    default: 3000,
  }),
  nameLeaseMs: integer({
    doc: "How long a node name stays reserved without renewal.",
    unit: "ms",
    min: 1000,
    max: HOUR_MS,
    default: 10_000,
  }),
  heartbeatMs: integer({
    doc: "Time between two heartbeats on a link; a link that misses three is lost.",
    unit: "ms",
    min: 10,
    max: MINUTE_MS,
    default: 1000,
  }),
  handshakeTimeoutMs: integer({
    doc: "Longest a new link may take to prove its token.",
    unit: "ms",
    min: 100,
    max: MINUTE_MS,
    default: 5000,
  }),
  peerReturnMs: integer({
    doc: "How long calls wait for a coordinator that has said that it stops, and may be back within their time; after that they fail at once. 0: they never wait.",
    unit: "ms",
    min: 0,
    max: HOUR_MS,
    default: 30_000,
  }),
  linkMaxInFlight: integer({
    doc: "Requests that may wait for their answer on one link.",
    min: 1,
    max: 1_000_000,
    default: 4096,
  }),
  linkMaxInFlightBytes: integer({
    doc: "Bytes of requests that may wait for their answer on one link.",
    unit: "bytes",
    min: 64 * KIB,
    max: 4096 * MIB,
    default: 64 * MIB,
  }),

  callTimeoutMs: integer({
    doc: "Deadline of a call whose client set none.",
    unit: "ms",
    min: 1,
    max: HOUR_MS,
    default: 10_000,
  }),
  maxCallTimeoutMs: integer({
    doc: "Longest deadline of a call; a longer one is cut to it. A library's replaced version stays callable for as long.",
    unit: "ms",
    min: 1,
    max: 24 * HOUR_MS,
    default: 5 * MINUTE_MS,
  }),
  maxCalls: integer({
    doc: "Calls from outside that may run at once; more are refused with RESOURCE_EXHAUSTED.",
    min: 1,
    max: 1_000_000,
    default: 1024,
  }),
  maxNestedCalls: integer({
    doc: "Calls made by running functions that may run here at once; more are refused.",
    min: 1,
    max: 1_000_000,
    default: 16_384,
  }),
  maxCallDepth: integer({ doc: "How deep calls may nest.", min: 1, max: 10_000, default: 128 }),
  maxMessageBytes: integer({
    doc: "Largest message taken from a client or a coordinator.",
    unit: "bytes",
    min: 64 * KIB,
    max: 512 * MIB,
    default: 16 * MIB,
  }),
  maxResultBytes: integer({
    doc: "Largest result of a function, of a library's RPC method or of a task, and the most that the arguments of one remote call, one message that a library publishes or the progress of a task may take.",
    unit: "bytes",
    min: KIB,
    max: 512 * MIB,
    default: 8 * MIB,
  }),
  subscriberQueueMessages: integer({
    doc: "Messages that wait for one pub/sub subscriber which reads slowly, up to 4 MiB of them. More are dropped, and it is told how many it missed.",
    min: 1,
    max: 1_000_000,
    default: 1024,
  }),

  rpcTimeoutMs: integer({
    doc: "Longest that a call of an RPC method may take which names no other time.",
    unit: "ms",
    min: 1,
    max: HOUR_MS,
    default: 5000,
  }),
  maxConnections: integer({
    doc: "Connections of clients that may be open here; more are refused with RESOURCE_EXHAUSTED.",
    min: 1,
    max: 1_000_000,
    default: 10_000,
  }),
  connectionLeaseMs: integer({
    doc: "How long the directory says of a connection that its coordinator holds it, without being told so again: so long after the death of that coordinator its connections are unknown.",
    unit: "ms",
    min: 500,
    max: HOUR_MS,
    default: 10_000,
  }),
  resumeGraceMs: integer({
    doc: "How long a connection waits for its client once that has lost its link.",
    unit: "ms",
    min: 100,
    max: 24 * HOUR_MS,
    default: 30_000,
  }),
  roomLeaseMs: integer({
    doc: "How long the members of a room that a coordinator holds outlive it: so long after its death they are gone from every room.",
    unit: "ms",
    min: 500,
    max: HOUR_MS,
    default: 10_000,
  }),
  maxWaitingDeliveries: integer({
    doc: "Deliveries that are kept for one connection whose client is away or reads slowly; of more the oldest are dropped, and the client is told how many it missed.",
    min: 1,
    max: 1_000_000,
    default: 1000,
  }),
  maxWaitingDeliveryBytes: integer({
    doc: "Bytes of those deliveries.",
    unit: "bytes",
    min: KIB,
    max: 1024 * MIB,
    default: 4 * MIB,
  }),

  storageReplicaTimeoutMs: integer({
    doc: "How long a write to the storage, or of a library's record, waits for a replica to have it, too, where there is one; then it ends with INDETERMINATE. 0: it does not wait, and nobody knows whether a failover would lose it.",
    unit: "ms",
    min: 0,
    max: MINUTE_MS,
    default: 2000,
  }),
  storageTombstoneMs: integer({
    doc: "How long the revision of a key that was deleted from the storage is remembered, so that the next one is greater although the clock of another master is behind by as much.",
    unit: "ms",
    min: 1000,
    max: 24 * HOUR_MS,
    default: MINUTE_MS,
  }),
  storageMaxValueBytes: integer({
    doc: "Largest value that the storage takes. It must fit into a message of maxMessageBytes, too, with its key.",
    unit: "bytes",
    min: KIB,
    max: 64 * MIB,
    default: MIB,
  }),
  storageMaxListedKeys: integer({
    doc: "Keys that one list of the storage may have. Each takes some 100 bytes of the coordinator's memory while it lasts, more where it is long.",
    min: 1,
    max: 10_000_000,
    default: 100_000,
  }),
  storageMaxWatchedKeys: integer({
    doc: "Keys of the storage that all watches of this coordinator together may be about. Each takes some 100 bytes of memory, more where it is long.",
    min: 1,
    max: 10_000_000,
    default: 100_000,
  }),
  storageWatchQueueChanges: integer({
    doc: "Changes that wait for one watcher of the storage which reads slowly, up to 4 MiB of them. More are dropped, and it is shown the whole state anew.",
    min: 1,
    max: 1_000_000,
    default: 1024,
  }),
  storageWatchCheckMs: integer({
    doc: "How often watched prefixes of the storage are looked at although no news of them may have been lost. It takes a look at all keys of Redis.",
    unit: "ms",
    min: 1000,
    max: HOUR_MS,
    default: 30_000,
  }),
  maxCacheValueBytes: integer({
    doc: "Largest object, and largest item of a list, that the cache takes. It must fit into a message of maxMessageBytes, too, with its key.",
    unit: "bytes",
    min: KIB,
    max: 256 * MIB,
    default: 8 * MIB,
  }),
  cacheLockMs: integer({
    doc: "How long a lock of the cache lasts that is taken without a time, unless it is renewed or given back: so long after the death of its holder and of that one's coordinator somebody else gets it.",
    unit: "ms",
    min: 100,
    max: HOUR_MS,
    default: 10_000,
  }),
  maxCacheWaits: integer({
    doc: "Callers that may wait here for a key of the cache to be saved or unlocked; more are refused with RESOURCE_EXHAUSTED.",
    min: 1,
    max: 1_000_000,
    default: 10_000,
  }),
  ...TASK_SETTINGS,

  remoteTaskDefaultTimeoutMs: integer({
    doc: "Longest one remote call of a function may take.",
    flag: "remote-task-default-timeout",
    unit: "ms",
    min: 1,
    max: HOUR_MS,
    default: 500,
  }),
  lockRedisTimeoutMs: integer({
    doc: "Longest a block may hold its shard.",
    flag: "lock-redis-timeout",
    unit: "ms",
    min: 1,
    max: HOUR_MS,
    default: 500,
  }),
  libraryMaxMemoryMb: integer({
    doc: "Heap of one library.",
    flag: "library-maxmemory",
    unit: "MB",
    min: 16,
    max: 4096,
    default: 128,
  }),
  maxIsolates: integer({
    doc: "Isolates that one library may ask for. Each may take as much memory as a library.",
    min: 1,
    max: MAX_ISOLATES,
    default: 4,
  }),
  libraryFatalFailurePolicy: choice({
    doc: "What a block gets that holds its shard for too long: abort ends the function.",
    flag: "library-fatal-failure-policy",
    of: ["abort"],
    default: "abort",
  }),
  errorVerbosity: integer({
    doc: "1: errors of a library say what it threw; 2: with the stack, too.",
    flag: "error-verbosity",
    min: 1,
    max: 2,
    default: 1,
  }),
  runTimeoutMs: integer({
    doc: "Longest a function may run without a pause.",
    unit: "ms",
    min: 1,
    max: HOUR_MS,
    default: 500,
  }),
  loadTimeoutMs: integer({
    doc: "Longest a library's top level may run while it is loaded.",
    unit: "ms",
    min: 1,
    max: 10 * MINUTE_MS,
    default: 5000,
  }),
  allowedCommands: words({
    doc: "Redis commands that libraries may call although they are refused by default.",
    default: [],
    defaultDoc: "none",
  }),

  reflection: toggle({ doc: "Whether gRPC reflection tells clients what the server offers.", default: true }),
  logLevel: choice({
    doc: "Least severe level that is logged.",
    of: ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
    default: "info",
  }),
  logLevels: logLevelPairs(
    "Levels of single capabilities, where they differ from logLevel. `gearmesh log-level` changes them while the coordinator runs.",
  ),
  logFormat: choice({
    doc: "auto is pretty on a terminal and json elsewhere.",
    of: ["auto", "json", "pretty"],
    default: "auto",
  }),
  drainTimeoutMs: integer({
    doc: "How long running calls may go on once the coordinator was told to stop.",
    unit: "ms",
    min: 0,
    max: HOUR_MS,
    default: 10_000,
  }),
} as const satisfies Record<string, Setting<unknown>>;

export type SettingKey = keyof typeof SETTINGS;

/** The settings as their sources give them, each with its value or its default. */
export type SettingValues = {
  readonly [K in SettingKey]: (typeof SETTINGS)[K] extends { schema: z.ZodType<infer T> } ? T : never;
};

/** In the order of the documentation. */
export const SETTING_ENTRIES = Object.entries(SETTINGS) as readonly (readonly [SettingKey, Setting<unknown>])[];

/** `heartbeatMs` -> `heartbeat-ms`, or the name users know it by. */
export function flagOf(key: SettingKey): string {
  const setting: Setting<unknown> = SETTINGS[key];
  return setting.flag ?? key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `heartbeatMs` -> `GEARMESH_HEARTBEAT_MS`. */
export function variableOf(key: SettingKey): string {
  return `GEARMESH_${flagOf(key).replaceAll("-", "_").toUpperCase()}`;
}
