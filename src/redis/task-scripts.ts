import { createRequire } from "node:module";
import type { QueueKeys, RedisQueueBackend } from "bullmq";

/** A script of BullMQ. */
export interface QueueScript {
  readonly text: string;
  readonly keys: number;
}

/** As much of BullMQ as is used here: its scripts, and what calls them. */
export interface QueueEngine {
  readonly RedisQueueBackend: typeof RedisQueueBackend;
  readonly QueueKeys: typeof QueueKeys;
  /** By the name that the backend calls them by. */
  readonly scripts: ReadonlyMap<string, QueueScript>;
}

interface ScriptModule {
  readonly [property: string]: { readonly name: string; readonly content: string; readonly keys: number };
}

/**
 * Redis refuses a script that names its flags before it has begun, and one that does not in its midst, at the first command for which there is no memory: a task would then be in no
 * list any more. So only what adds to the data is refused by a full Redis; what has been accepted is worked.
 */
const ADDS = /^add/;
const READS = /^(?:get|isFinished|isJobInList|isMaxed|paginate)/;

function flagsOf(name: string): string {
  if (READS.test(name)) return "#!lua flags=no-writes\n";
  return ADDS.test(name) ? "#!lua\n" : "#!lua flags=allow-oom\n";
}

let engine: QueueEngine | undefined;

/** Loads it when tasks are first used: with all its clients it takes as long as the rest of a coordinator's start. */
export function queueEngine(): QueueEngine {
  engine ??= load();
  return engine;
}

/** Not `bullmq` itself, which brings a client for every database along. */
function load(): QueueEngine {
  const require = createRequire(import.meta.url);
  const { version } = require("bullmq/dist/cjs/version.js") as { readonly version: string };
  const modules = require("bullmq/dist/cjs/scripts/index.js") as ScriptModule;
  const backend = require("bullmq/dist/cjs/classes/redis-queue-backend.js") as Pick<QueueEngine, "RedisQueueBackend">;
  const keys = require("bullmq/dist/cjs/classes/queue-keys.js") as Pick<QueueEngine, "QueueKeys">;
  const scripts = Object.values(modules).map(({ name, content, keys: count }) => {
    const script: QueueScript = { text: flagsOf(name) + content, keys: count };
    return [`${name}:${version}`, script] as const;
  });
  return { ...backend, ...keys, scripts: new Map(scripts) };
}
