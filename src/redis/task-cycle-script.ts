import { RedisScript } from "./redis-script.ts";

/** Last parts of the keys of a partition that the script is given, in its order. */
export const CYCLE_KEYS = ["wait", "active", "prioritized", "stalled", "limiter", "delayed", "meta", "pc", "completed"];

/**
 * What BullMQ's `moveToFinished` does for jobs that are completed, and then what its `moveToActive` does, for many in one run: half of Redis' time for each. What is the same
 * for all of them is looked at once, and BullMQ's events, which nobody here reads, are not written; jobs here have no parents. One step that fails ends none of the others.
 *
 * ARGV: what precedes a job's key, the time, the lease, the worker's name, how long completed jobs are kept and how many, the number of those that are completed; of each its id, token and
 * result; then of each that is taken which of those must have been completed for it (0: none), and its token. Replies of each that was completed 0, or a code of BullMQ's; of each that was taken its id and fields, or how long nothing may begin and
 * the time of the next delayed one. Unit: ms.
 */
export const CYCLE = new RedisScript(`#!lua flags=allow-oom
local call = redis.call
local wait, active, prioritized, stalled, limiter, delayed, meta, counter, completed = unpack(KEYS)
local prefix, now, leaseMs, worker = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local keptMs, kept, completions = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local replies, ended, scores = {}, {}, {}

local function complete(id, token, result)
  local job = prefix .. id
  local lock = call('GET', job .. ':lock')
  if lock ~= token then
    if call('EXISTS', job) == 0 then return -1 end
    return lock and -6 or -2
  end
  local found = call('HMGET', job, 'name', 'deid')
  if not found[1] then return -1 end
  if call('LREM', active, -1, id) == 0 then return -3 end
  call('DEL', job .. ':lock')
  local duplicates = found[2] and prefix .. 'de:' .. found[2]
  if duplicates and call('PTTL', duplicates) == -1 and call('GET', duplicates) == id then call('DEL', duplicates) end
  call('HINCRBY', job, 'atm', 1)
  call('HSET', job, 'returnvalue', result, 'finishedOn', now)
  ended[#ended + 1] = id
  scores[#scores + 1] = now
  scores[#scores + 1] = id
  return 0
end

local function forget(ids)
  if #ids == 0 then return end
  local jobs = {}
  for i, id in ipairs(ids) do jobs[i] = prefix .. id end
  call('UNLINK', unpack(jobs))
  call('ZREM', completed, unpack(ids))
end

local function keep()
  if #ended == 0 then return end
  call('SREM', stalled, unpack(ended))
  call('ZADD', completed, unpack(scores))
  forget(call('ZRANGEBYSCORE', completed, '-inf', now - keptMs, 'LIMIT', 0, 1000))
  local excess = call('ZCARD', completed) - kept
  if excess > 0 then forget(call('ZRANGE', completed, 0, math.min(excess, 1000) - 1)) end
end

local function promote()
  local due = call('ZRANGEBYSCORE', delayed, 0, (now + 1) * 0x1000 - 1, 'LIMIT', 0, 1000)
  if #due == 0 then return end
  call('ZREM', delayed, unpack(due))
  for _, id in ipairs(due) do
    local priority = tonumber(call('HGET', prefix .. id, 'priority')) or 0
    if priority == 0 then
      call('LPUSH', wait, id)
    else
      call('ZADD', prioritized, priority * 0x100000000 + call('INCR', counter) % 0x100000000, id)
    end
    call('HSET', prefix .. id, 'delay', 0)
  end
end

local function nextId()
  local id = call('RPOPLPUSH', wait, active)
  if id then return id end
  id = call('ZPOPMIN', prioritized)[1]
  if id then call('LPUSH', active, id) else call('DEL', counter) end
  return id
end

local function take(token, max, perMs)
  if max and max <= (tonumber(call('GET', limiter)) or 0) then
    local limitedMs = call('PTTL', limiter)
    if limitedMs > 0 then return {limitedMs, 0} end
    if limitedMs == 0 then call('DEL', limiter) end
  end
  local id = nextId()
  if not id then
    local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]
    return {0, first and math.floor(first / 0x1000) or 0}
  end
  local job = prefix .. id
  call('SET', job .. ':lock', token, 'PX', leaseMs)
  call('HSET', job, 'processedOn', now, 'pb', worker)
  local fence = call('HINCRBY', job, 'ats', 1)
  local fields = call('HMGET', job, 'name', 'data', 'opts', 'timestamp', 'delay', 'priority', 'atm', 'progress', 'failedReason', 'defa')
  if max and not fields[10] and call('INCR', limiter) == 1 then call('PEXPIRE', limiter, math.floor(math.abs(perMs))) end
  return {id, fence, unpack(fields, 1, 10)}
end

local function step(act, ...)
  local isDone, reply = pcall(act, ...)
  if not isDone then reply = redis.error_reply(type(reply) == 'table' and reply.err or tostring(reply)) end
  replies[#replies + 1] = reply
end

local at = 8
for _ = 1, completions do
  step(complete, ARGV[at], ARGV[at + 1], ARGV[at + 2])
  at = at + 3
end
keep()
if at > #ARGV then return replies end
local paused, concurrency, max, perMs = unpack(call('HMGET', meta, 'paused', 'concurrency', 'max', 'duration'), 1, 4)
promote()
for i = at, #ARGV, 2 do
  local after = tonumber(ARGV[i])
  if after > 0 and replies[after] ~= 0 then
    replies[#replies + 1] = false
  elseif paused or concurrency and call('LLEN', active) >= tonumber(concurrency) then
    replies[#replies + 1] = {0, 0}
  else
    step(take, ARGV[i + 1], tonumber(max), perMs)
  end
end
return replies
`);
