import { RedisScript } from "./redis-script.ts";

/*
 * A lease is one hash: `ttl`, which is missing once it was ended, `over`, the time at which it is over, `last`, the number of the last attachment, and for each key `k:<key>` the number of its attachment. Times are the server's.
 * Unit: ms. It outlives its end for as long as its keys may need to be deleted, and no longer, in case nobody looks.
 *
 * A full Redis refuses what may take memory, unless something that may not was written before in the same script. Where memory is short, leases must be renewed, and end, all the same.
 */

const NOW = `
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** Replies nil where the lease is over. */
const ALIVE = `${NOW}
local found = redis.call('HMGET', key, 'ttl', 'over')
if not found[1] or tonumber(found[2]) <= now then return nil end
`;

const RENEWED = `
redis.call('PEXPIRE', key, string.format('%.0f', ttl + linger))
redis.call('HSET', key, 'over', string.format('%.0f', now + ttl))
`;

/** ARGV: lifetime, and how long it is kept beyond. */
export const GRANT = new RedisScript(`${NOW}
local ttl, linger = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('HSET', key, 'ttl', ARGV[1], 'last', 0)
${RENEWED}
return 1
`);

/** ARGV: how long it is kept beyond its lifetime. Replies the lifetime. */
export const RENEW = new RedisScript(`${ALIVE}
local ttl, linger = tonumber(found[1]), tonumber(ARGV[1])
${RENEWED}
return found[1]
`);

export const IS_ALIVE = new RedisScript(`${ALIVE}return 1`);

/** Replies lifetime, time left and keys. */
export const GET = new RedisScript(`${ALIVE}
local reply = {found[1], string.format('%.0f', found[2] - now)}
for _, field in ipairs(redis.call('HKEYS', key)) do
  if string.sub(field, 1, 2) == 'k:' then reply[#reply + 1] = string.sub(field, 3) end
end
return reply
`);

/** ARGV: key, keys there may be. Replies the number of the attachment; 0: there are too many. */
export const ATTACH = new RedisScript(`${ALIVE}
local field = 'k:' .. ARGV[1]
if redis.call('HLEN', key) - 3 >= tonumber(ARGV[2]) and redis.call('HEXISTS', key, field) == 0 then return 0 end
local number = redis.call('HINCRBY', key, 'last', 1)
redis.call('HSET', key, field, number)
return number
`);

/** ARGV: key, number of its attachment. */
export const DETACH = new RedisScript(`
local field = 'k:' .. ARGV[1]
if redis.call('HGET', KEYS[1], field) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], field)
`);

/** ARGV: 1: also where it is not over yet. Replies how long it lasts, and where that is 0 its keys. */
export const END = new RedisScript(`${NOW}
local over = redis.call('HGET', key, 'over')
if not over then return nil end
local left = redis.call('HEXISTS', key, 'ttl') == 1 and over - now or 0
if left > 0 and ARGV[1] ~= '1' then return {string.format('%.0f', left)} end
redis.call('HDEL', key, 'ttl')
local reply = {'0'}
for _, field in ipairs(redis.call('HKEYS', key)) do
  if string.sub(field, 1, 2) == 'k:' then reply[#reply + 1] = string.sub(field, 3) end
end
return reply
`);

/** A part of the index: leases, by when to look at them. ARGV: id, in how many ms, how many there may be. Replies whether it is in there. */
export const INDEX = new RedisScript(`${NOW}
if redis.call('ZCARD', key) >= tonumber(ARGV[3]) and not redis.call('ZSCORE', key, ARGV[1]) then return 0 end
redis.call('ZADD', key, string.format('%.0f', now + ARGV[2]), ARGV[1])
return 1
`);

/** Those to look at; nobody else is given them for a while. ARGV: how many at most, how many ms. Replies how many there are in all, and the ids. */
export const TAKE_DUE = new RedisScript(`${NOW}
local reply = {redis.call('ZCARD', key)}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, ARGV[1])) do
  redis.call('ZREM', key, id)
  redis.call('ZADD', key, string.format('%.0f', now + ARGV[2]), id)
  reply[#reply + 1] = id
end
return reply
`);
