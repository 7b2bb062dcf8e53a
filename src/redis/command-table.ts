import { Buffer } from "node:buffer";
import type { CommandInfo, CommandTable } from "../functions/guard.ts";
import { RedisErrorReply, type RedisReply } from "../functions/shard-redis.ts";

/**
 * Reads the reply of COMMAND: per command its name, arity, flags, three key positions, ACL categories and, since Redis 7, tips, key
 * specifications and subcommands.
 */
export function parseCommandTable(reply: RedisReply): CommandTable {
  if (reply instanceof RedisErrorReply) throw new Error(`Redis refused COMMAND: ${reply.message}`);
  const table = new Map<string, CommandInfo>();
  for (const entry of items(reply)) addCommand(table, entry);
  return table;
}

function addCommand(table: Map<string, CommandInfo>, entry: RedisReply): void {
  const [name, , flags, , , , categories, , , subcommands] = items(entry);
  if (!Buffer.isBuffer(name)) throw new Error("not a reply of COMMAND");
  const children = items(subcommands ?? null);
  const info: CommandInfo = {
    name: name.toString("latin1").toLowerCase(),
    flags: words(flags ?? null),
    categories: words(categories ?? null),
    isContainer: children.length > 0,
  };
  table.set(info.name, info);
  for (const child of children) addCommand(table, child);
}

function words(reply: RedisReply): ReadonlySet<string> {
  return new Set(items(reply).map(String));
}

/** RESP3 sends flags and categories as sets, RESP2 as arrays. */
function items(reply: RedisReply): readonly RedisReply[] {
  if (Array.isArray(reply)) return reply;
  return reply instanceof Set ? [...reply] : [];
}
