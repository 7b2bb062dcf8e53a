import { EXPIRES, READ, REVISION } from "./cache-object.ts";
import { RedisScript } from "./redis-script.ts";

/*
 * An object is one string: a header (see cache-object.ts) and the encoded payload. A list is a Redis list of encoded payloads. The lock of a key is a string beside it, `<fencing token>:<end>:<holder>`, which
 * Redis keeps for a while beyond its end (`0`: it was given back), so that the next fencing token is greater even where the clock of the Redis that takes over is behind. Whether something has ended Redis
 * alone says, by its clock; the times in an object are for people, by the clocks of the coordinators, since asking Redis for the time in a script costs as much as saving. Unit: ms.
 *
 * KEYS: the object or list, and its lock. Both are in one slot.
 */

/** How long Redis remembers the fencing token of a lock that is over: clocks of a master and its replica differ by less. Unit: ms. */
const TOKEN_MEMORY_MS = 60_000;

/**
 * Reads the lock, where there is one: `token` and `holder` are of who has it now, `last` is the last token that is remembered. It costs next to nothing where there is none, which is nearly always. Scripts
 * define no more functions than they use, since each run defines them anew.
 */
const LOCK_NOW = `
local time, now, token, holder, last
local text = redis.call('GET', KEYS[2])
if text then
  time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
  local ends
  last, ends, holder = string.match(text, '^(%d+):(%d+):(.*)$')
  if tonumber(ends) > now then token = last end
end
`;

/** ARGV[1] and ARGV[2]: writer and its fencing token. Ends the script with why it may not write, where it may not. */
const GUARD = `
if ARGV[2] ~= '0' then
  if token ~= ARGV[2] then return 'lost' end
elseif token and holder ~= ARGV[1] then return 'locked' end
`;

/** For scripts that change the lock. */
const KEEP_LOCK = `
local function whole(number)
  return string.format('%.0f', number)
end
local function keepLock(token, ends, holder, ms)
  redis.call('SET', KEYS[2], token .. ':' .. ends .. ':' .. holder, 'PX', whole(ms + ${TOKEN_MEMORY_MS}))
end
`;

const TAKE_LOCK = `
${KEEP_LOCK}
local function takeLock(holder, ms)
  time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
  local micros = time[1] * 1000000 + time[2]
  token = whole(math.max(micros, last and last + 1 or 0))
  local ends = whole(now + ms)
  keepLock(token, ends, holder, ms)
  return {token, ends}
end
`;

/** ARGV: writer, its fencing token, object, lifetime or nothing. Replies why nothing was saved; nil where it was. */
export const SAVE = new RedisScript(`
${LOCK_NOW}
${GUARD}
if ARGV[4] == '' then redis.call('SET', KEYS[1], ARGV[3])
else redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4]) end
return nil
`);

/** As SAVE; gives the writer's lock back. */
export const FILL = new RedisScript(`
${LOCK_NOW}
${GUARD}
${KEEP_LOCK}
if ARGV[4] == '' then redis.call('SET', KEYS[1], ARGV[3])
else redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4]) end
keepLock(token, '0', '', 0)
return nil
`);

/** ARGV: as SAVE, and the expected revision, as it is kept; nothing where no object is expected. Replies why nothing was saved; nil where it was. */
export const COMPARE_AND_SET = new RedisScript(`
${LOCK_NOW}
${GUARD}
if redis.call('GETRANGE', KEYS[1], ${REVISION}, ${REVISION + 7}) ~= ARGV[5] then return 'differs' end
if ARGV[4] == '' then redis.call('SET', KEYS[1], ARGV[3])
else redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4]) end
return nil
`);

/** ARGV: who reads, now, as it is kept. Replies the object as it is kept, 0 where it is locked, nil where it is missing. Redis may take no writes, or have no memory: who reads need not know. */
export const LOAD = new RedisScript(`
${LOCK_NOW}
if token and holder ~= ARGV[1] then return 0 end
local found = redis.call('GET', KEYS[1])
if found then redis.pcall('SETRANGE', KEYS[1], ${READ}, ARGV[2]) end
return found
`);

/** ARGV: who reads, now, lifetime, and its end, as it is kept. Replies as LOAD, once an object that has a lifetime lives so long from now on. */
export const EXTEND = new RedisScript(`
${LOCK_NOW}
if token and holder ~= ARGV[1] then return 0 end
if redis.call('PTTL', KEYS[1]) > 0 then
  redis.call('SETRANGE', KEYS[1], ${EXPIRES}, ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
local found = redis.call('GET', KEYS[1])
if found then redis.call('SETRANGE', KEYS[1], ${READ}, ARGV[2]) end
return found
`);

/** ARGV: writer, its fencing token. Replies why nothing was deleted, or how much was. */
export const DESTROY = new RedisScript(`
${LOCK_NOW}
${GUARD}
return redis.call('UNLINK', KEYS[1])
`);

/** ARGV: holder, time of the lock, now, as it is kept. Replies the object as it is kept, the fencing token and the end of the lock that was taken, or 0 where somebody has it. */
export const GET_OR_LOCK = new RedisScript(`
local found = redis.call('GET', KEYS[1])
if found then
  redis.pcall('SETRANGE', KEYS[1], ${READ}, ARGV[3])
  return found
end
${LOCK_NOW}
${TAKE_LOCK}
return token and 0 or takeLock(ARGV[1], tonumber(ARGV[2]))
`);

/** ARGV: holder, time of the lock. Replies fencing token and end; nil where somebody has the lock. */
export const LOCK = new RedisScript(`
${LOCK_NOW}
${TAKE_LOCK}
if token then return nil end
return takeLock(ARGV[1], tonumber(ARGV[2]))
`);

/** ARGV: writer, its fencing token. Replies why the lock is another's; with a token, why it was not given back. It is also where Redis has no memory for remembering its token. */
export const UNLOCK = new RedisScript(`
${LOCK_NOW}
${GUARD}
if token then
  local kept = redis.pcall('SET', KEYS[2], token .. ':0:', 'PX', ${TOKEN_MEMORY_MS})
  if kept.err then redis.call('DEL', KEYS[2]) end
end
return nil
`);

/** ARGV: who asks, 0. Replies why the key is another's. */
export const CHECK_LOCK = new RedisScript(`
${LOCK_NOW}
${GUARD}
return nil
`);

/** ARGV: fencing token, time of the lock. Replies fencing token and end; nil where the lock was lost. */
export const RENEW_LOCK = new RedisScript(`
${LOCK_NOW}
if token ~= ARGV[1] then return nil end
${KEEP_LOCK}
local ends = whole(now + ARGV[2])
keepLock(token, ends, holder, tonumber(ARGV[2]))
return {token, ends}
`);

/** KEYS: the list that is being restored, and where it is to be. ARGV: whether another part follows, how long this one stays without it, and the items. */
export const RESTORE_LIST = new RedisScript(`
for first = 3, #ARGV, 1000 do
  redis.call('RPUSH', KEYS[1], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
if ARGV[1] == '1' then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  redis.call('PERSIST', KEYS[1])
  redis.call('RENAME', KEYS[1], KEYS[2])
end
`);
