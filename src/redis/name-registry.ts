import type { NameClaim, NameRegistry } from "../storage/records.ts";
import type { StoreClient } from "./store-client.ts";
import { readFault } from "./store-fault.ts";

/**
 * Claims or renews a number for an identity. Fields are numbers, values JSON. Expired names of others are dropped on the way, so that the
 * lowest free number is found. Returns the number, or 0 where a newer incarnation of the identity holds it.
 */
const CLAIM = `
local identity, incarnation, started, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function hold(number)
  local entry = { identity = identity, incarnation = incarnation, started = started, expires = now + lease }
  redis.call('HSET', KEYS[1], number, cjson.encode(entry))
  return number
end
local taken = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local number, entry = tonumber(fields[i]), cjson.decode(fields[i + 1])
  if entry.identity == identity then
    if entry.incarnation == incarnation or entry.started <= started or entry.expires <= now then return hold(number) end
    return 0
  end
  if entry.expires <= now then redis.call('HDEL', KEYS[1], fields[i]) else taken[number] = true end
end
local number = 1
while taken[number] do number = number + 1 end
return hold(number)`;

const RELEASE = `
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local entry = cjson.decode(fields[i + 1])
  if entry.identity == ARGV[1] and entry.incarnation == ARGV[2] then redis.call('HDEL', KEYS[1], fields[i]) end
end
return 0`;

/** Node names in one hash in Redis, whose clock decides what has expired. */
export class RedisNameRegistry implements NameRegistry {
  readonly #client: StoreClient;
  readonly #key: string;

  constructor(client: StoreClient, namespace: string) {
    this.#client = client;
    this.#key = `${namespace}:{names}`;
  }

  async claim({ identity, incarnation, startedAtMs, leaseMs }: NameClaim): ReturnType<NameRegistry["claim"]> {
    try {
      const args = [identity, incarnation, startedAtMs, leaseMs];
      const number = Number(await this.#client.run((redis) => redis.eval(CLAIM, 1, this.#key, ...args)));
      return number === 0 ? { superseded: true } : { number };
    } catch (error) {
      throw readFault(error);
    }
  }

  async release({ identity, incarnation }: NameClaim): Promise<void> {
    try {
      await this.#client.run((redis) => redis.eval(RELEASE, 1, this.#key, identity, incarnation));
    } catch (error) {
      throw readFault(error);
    }
  }
}
