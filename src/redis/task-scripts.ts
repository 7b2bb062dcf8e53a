import { createRequire } from "node:module";
import type { QueueKeys, RedisQueueBackend } from "bullmq";

/** A script of BullMQ. */
export interface QueueScript {
  readonly text: string;
  readonly keys: number;
  /** The same script run by run, with what is given for each: for those that are called for one task after the other. */
  readonly batch: BatchScript | undefined;
}

/** A script whose runs differ in their arguments, and in one of their keys at most. */
export interface BatchScript {
  /** ARGV: what is given for one run, counted; then for each run its own key, where it has one, and its arguments. Replies what each of them does. */
  readonly text: string;
  /** Which of the keys is the run's own; 0: none is. */
  readonly ownKey: number;
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
const ADDS = /^(?:add|updateProgress)/;
const READS = /^(?:get|isFinished|isJobInList|isMaxed|paginate)/;

function flagsOf(name: string): string {
  if (READS.test(name)) return "#!lua flags=no-writes\n";
  return ADDS.test(name) ? "#!lua\n" : "#!lua flags=allow-oom\n";
}

/** Those that are called for every task that is worked, and which of their keys is the task's own. */
const BATCHED: Readonly<Record<string, number | undefined>> = { moveToActive: 0, moveToFinished: 12 };

/** One that fails ends none of the others. */
function batchOf(name: string, content: string): BatchScript | undefined {
  const ownKey = BATCHED[name];
  if (ownKey === undefined) return undefined;
  const text = `${flagsOf(name)}
local function run(KEYS, ARGV)
${content}
end
local keys, replies = {}, {}
for i, key in ipairs(KEYS) do keys[i] = key end
local ownKey, given = ${ownKey}, tonumber(ARGV[1])
for at = 2, #ARGV, given do
  local first = at
  if ownKey > 0 then
    keys[ownKey] = ARGV[at]
    first = at + 1
  end
  local args = {}
  for i = first, at + given - 1 do args[#args + 1] = ARGV[i] end
  local isDone, reply = pcall(run, keys, args)
  if not isDone then reply = redis.error_reply(type(reply) == 'table' and reply.err or tostring(reply)) end
  if reply == nil then reply = false end
  replies[#replies + 1] = reply
end
return replies
`;
  return { text, ownKey };
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
    const script: QueueScript = { text: flagsOf(name) + content, keys: count, batch: batchOf(name, content) };
    return [`${name}:${version}`, script] as const;
  });
  return { ...backend, ...keys, scripts: new Map(scripts) };
}
