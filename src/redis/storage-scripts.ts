import { RedisScript } from "./redis-script.ts";

/*
 * A value is one string, `<revision>:<lease>:<payload>`; the lease is `<id>.<number of the attachment>`, or nothing. A key that was deleted leaves `<revision>::` for a while, so that its next revision is greater whatever the clock of
 * the next master says. A revision is the server's time in microseconds, or one more than the one before where that is later: so it grows also where nothing is remembered of the one before.
 */

/** Begins every script. `current` is 0 where there is no such key. The header is read alone, since values may be long. */
const PRELUDE = `
local key = KEYS[1]
local time = redis.call('TIME')
local revision, lease, first = string.match(redis.call('GETRANGE', key, 0, 127), '^(%d+):([^:]*):(.?)')
local current = first and first ~= '' and revision or '0'
local following = string.format('%.0f', math.max(time[1] * 1000000 + time[2], (tonumber(revision) or 0) + 1))
`;

/** ARGV: payload, lease, and the revision that must be there or nothing. Replies whether it was written, the revision, and the lease that was there. */
export const PUT = new RedisScript(`${PRELUDE}
if ARGV[3] and ARGV[3] ~= current then return {0, current, ''} end
redis.call('SET', key, following .. ':' .. ARGV[2] .. ':' .. ARGV[1])
return {1, following, lease or ''}
`);

const DELETION = `
if current == '0' then return {0, current, ''} end
redis.call('DEL', key)
redis.call('SET', key, following .. '::', 'PX', ARGV[1])
return {1, following, lease}
`;

/** ARGV: how long the revision is remembered, and the revision that must be there or nothing. Replies as PUT. A full Redis takes what is written behind a deletion. */
export const DELETE = new RedisScript(`${PRELUDE}
if ARGV[2] and ARGV[2] ~= current then return {0, current, ''} end
${DELETION}`);

/** As DELETE, of a key that goes with a lease. ARGV: how long the revision is remembered, and the lease's id. */
export const DELETE_LEASED = new RedisScript(`${PRELUDE}
if not lease or string.match(lease, '^[^.]*') ~= ARGV[2] then return {0, current, ''} end
${DELETION}`);
