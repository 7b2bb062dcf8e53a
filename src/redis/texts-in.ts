import { Buffer } from "node:buffer";
import type { RedisReply } from "../functions/shard-redis.ts";

/** The items of a reply that is an array, as texts; none of one that is not. */
export function textsIn(reply: RedisReply): string[] {
  if (!Array.isArray(reply)) return [];
  return (reply as readonly RedisReply[]).map((item) => (Buffer.isBuffer(item) ? item.toString() : String(item)));
}
