import type { NameClaim, NameRegistry } from "../storage/records.ts";
import type { StoreClient } from "./store-client.ts";

/**
 * One field for each number. A claim that ran out or was released keeps its field, so that its identity gets the number
 * back for as long as nobody else needed it. Time is the server's, the only clock that all coordinators share.
 */
const CLAIM = `
local identity, incarnation = ARGV[1], ARGV[2]
local startedAt, leaseMs, wanted = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local taken, own, held = {}, nil, nil
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local number, entry = tonumber(fields[i]), cjson.decode(fields[i + 1])
  if entry.identity == identity then own, held = number, entry
  elseif tonumber(entry.expiresAt) > now then taken[number] = true end
end
if held and held.incarnation ~= incarnation and tonumber(held.expiresAt) > now then
  local heldSince = tonumber(held.startedAt)
  if heldSince > startedAt or (heldSince == startedAt and held.incarnation > incarnation) then return 0 end
end
local isNew = not held or held.incarnation ~= incarnation
if isNew and wanted > 0 and wanted ~= own and not taken[wanted] then
  if own then redis.call('HDEL', KEYS[1], own) end
  own = wanted
elseif not own then
  own = 1
  while taken[own] do own = own + 1 end
end
redis.call('HSET', KEYS[1], own, cjson.encode({
  identity = identity, incarnation = incarnation, startedAt = ARGV[3], expiresAt = string.format('%.0f', now + leaseMs),
}))
return own
`;

/** Ends a claim, if it is still this incarnation's. */
const RELEASE = `
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local entry = cjson.decode(fields[i + 1])
  if entry.identity == ARGV[1] and entry.incarnation == ARGV[2] then
    entry.expiresAt = '0'
    redis.call('HSET', KEYS[1], fields[i], cjson.encode(entry))
  end
end
return redis.status_reply('OK')
`;

/** The names of one namespace, in one hash at `<namespace>:{names}`. */
export class RedisNameRegistry implements NameRegistry {
  readonly #client: StoreClient;
  readonly #key: string;

  constructor(client: StoreClient, namespace: string) {
    this.#client = client;
    this.#key = `${namespace}:{names}`;
  }

  /** Rejects with UNAVAILABLE or INDETERMINATE; a claim may be repeated in either case. */
  async claim(claim: NameClaim): Promise<{ readonly number: number } | { readonly superseded: true }> {
    const { identity, incarnation, startedAtMs, leaseMs, wanted } = claim;
    const args = [identity, incarnation, ...[startedAtMs, leaseMs, wanted].map(String)];
    const number = Number(await this.#run(CLAIM, args));
    return number > 0 ? { number } : { superseded: true };
  }

  async release({ identity, incarnation }: NameClaim): Promise<void> {
    await this.#run(RELEASE, [identity, incarnation]);
  }

  async #run(script: string, args: readonly string[]): Promise<unknown> {
    const { reply } = await this.#client.command(this.#key, ["EVAL", script, "1", this.#key, ...args]);
    return reply;
  }
}
