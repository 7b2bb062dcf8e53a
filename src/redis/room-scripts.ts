import { RedisScript } from "./redis-script.ts";

/*
 * A room is one hash, so that it is whole on one node at any time, also while its slot moves. Its field `room` is what is known of the room, as JSON: `id`, its incarnation; `revision`, how many joinings there were; `holders`, by run id
 * {nodeId, expiresAt, count, digest}, the lease of each coordinator with members, how many it has and the digest of their ids; and `watchers`, by run id {nodeId, expiresAt}. Each field
 * `m:<connection id>` is a member, as JSON {joinedAt, node, holder}. Times are the server's, the only clock that all coordinators share. Unit: ms.
 */

/** Begins every script: drops whose lease is over. Replies nil where there is no room. */
const PRELUDE = `
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local text = redis.call('HGET', key, 'room')
if not text then return nil end
local room = cjson.decode(text)

local function save()
  redis.call('HSET', key, 'room', cjson.encode(room))
end

local function digested(digest, id)
  return bit.bxor(digest, tonumber(string.sub(redis.sha1hex(id), 1, 8), 16))
end

local function memberOf(id)
  local found = redis.call('HGET', key, 'm:' .. id)
  return found and cjson.decode(found)
end

-- Calls back with the id of each member and what is kept of it.
local function eachMember(callback)
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    if fields[i] ~= 'room' then callback(string.sub(fields[i], 3), cjson.decode(fields[i + 1])) end
  end
end

local function attach(id, joinedAt, runId, nodeId, node, leaseMs)
  local holder = room.holders[runId] or {count = 0, digest = 0}
  holder.nodeId, holder.expiresAt = nodeId, now + leaseMs
  holder.count, holder.digest = holder.count + 1, digested(holder.digest, id)
  room.holders[runId] = holder
  room.revision = room.revision + 1
  redis.call('HSET', key, 'm:' .. id, cjson.encode({joinedAt = joinedAt, node = node, holder = runId}))
end

local function detach(id, member)
  redis.call('HDEL', key, 'm:' .. id)
  local holder = room.holders[member.holder]
  if not holder then return end
  holder.count, holder.digest = holder.count - 1, digested(holder.digest, id)
  if holder.count <= 0 then room.holders[member.holder] = nil end
end

-- Appends the node ids of those who watch.
local function withWatchers(reply)
  for _, watcher in pairs(room.watchers) do reply[#reply + 1] = watcher.nodeId end
  return reply
end

-- Appends run id and node id of each holder.
local function withHolders(reply)
  for runId, holder in pairs(room.holders) do
    reply[#reply + 1] = runId
    reply[#reply + 1] = holder.nodeId
  end
  return reply
end

local function whole(number)
  return string.format('%.0f', number)
end

local lost, isChanged = nil, false
for runId, holder in pairs(room.holders) do
  if holder.expiresAt <= now then
    lost = lost or {}
    lost[runId] = true
  end
end
if lost then
  eachMember(function(id, member)
    if lost[member.holder] then redis.call('HDEL', key, 'm:' .. id) end
  end)
  for runId in pairs(lost) do room.holders[runId] = nil end
  isChanged = true
end
for runId, watcher in pairs(room.watchers) do
  if watcher.expiresAt <= now then
    room.watchers[runId] = nil
    isChanged = true
  end
end
if isChanged then save() end
`;

function onRoom(text: string): RedisScript {
  return new RedisScript(`${PRELUDE}${text}`);
}

/** ARGV: incarnation. Replies whether the room was made. */
export const ADD = new RedisScript(`
return redis.call('HSETNX', KEYS[1], 'room', cjson.encode({id = ARGV[1], revision = 0, holders = {}, watchers = {}}))
`);

/** Adds a name to the index, a set. ARGV: name, how many there may be. Replies whether it is in there. */
export const INDEX = new RedisScript(`
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then return 1 end
if redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
return redis.call('SADD', KEYS[1], ARGV[1])
`);

/** Replies the incarnation, the number of members, the number of holders, these, and the watchers. */
export const DESTROY = onRoom(`
local reply = withHolders({room.id, redis.call('HLEN', key) - 1, 0})
reply[3] = (#reply - 3) / 2
redis.call('DEL', key)
return withWatchers(reply)
`);

/** Replies the incarnation, the number of members, and the fields and values of as many of them as ARGV[1] says, or of all. With ARGV: run id, node id, lease, these watch from now on. */
export const STATUS = onRoom(`
if ARGV[2] then
  room.watchers[ARGV[2]] = {nodeId = ARGV[3], expiresAt = now + ARGV[4]}
  save()
end
local shown, cursor = {}, '0'
-- COUNT is a hint: HSCAN may give fewer or more, by how the fields lie in the hash.
repeat
  local page = redis.call('HSCAN', key, cursor, 'COUNT', ARGV[1])
  cursor = page[1]
  for i = 1, #page[2], 2 do
    if page[2][i] ~= 'room' and #shown < 2 * ARGV[1] then
      table.insert(shown, page[2][i])
      table.insert(shown, page[2][i + 1])
    end
  end
until cursor == '0' or #shown >= 2 * ARGV[1]
return {room.id, redis.call('HLEN', key) - 1, shown}
`);

/** ARGV: connection id, run id, node id, node name, lease, members there may be. Replies what came of it, the incarnation, the revision, the time of joining, and the watchers. */
export const JOIN = onRoom(`
local id, runId, nodeId, node, leaseMs = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local member = memberOf(id)
if member then
  if member.holder ~= runId then
    detach(id, member)
    attach(id, member.joinedAt, runId, nodeId, node, leaseMs)
    save()
  end
  return withWatchers({'already', room.id, room.revision, whole(member.joinedAt)})
end
if redis.call('HLEN', key) > tonumber(ARGV[6]) then return {'full', room.id, room.revision, '0'} end
attach(id, now, runId, nodeId, node, leaseMs)
save()
return withWatchers({'joined', room.id, room.revision, whole(now)})
`);

/** ARGV: connection id, and the run id under which alone it leaves, or nothing. Replies whether it was a member, and the watchers. */
export const LEAVE = onRoom(`
local member = memberOf(ARGV[1])
if not member or (ARGV[2] and member.holder ~= ARGV[2]) then return {0} end
detach(ARGV[1], member)
save()
return withWatchers({1})
`);

/** ARGV: connection id, or nothing. Replies the incarnation, the revision, whether it is a member, and the holders. */
export const AUDIENCE = onRoom(`
local isMember = not ARGV[1] or redis.call('HEXISTS', key, 'm:' .. ARGV[1]) == 1
return withHolders({room.id, room.revision, isMember and 1 or 0})
`);

/** ARGV: incarnation, run id, node id, lease, digest. Replies `renewed` or `differs`; nil where the room is another one. */
export const RENEW = onRoom(`
if room.id ~= ARGV[1] then return nil end
local holder = room.holders[ARGV[2]]
if not holder then return 'differs' end
holder.nodeId, holder.expiresAt = ARGV[3], now + ARGV[4]
save()
return holder.digest == tonumber(ARGV[5]) and 'renewed' or 'differs'
`);

/**
 * ARGV: incarnation, run id, node id, node name, lease, the revision that the room has at least, number of connections that are undecided, these, and then id and time of joining of each member.
 * Replies the watchers; nil where the room is another one.
 */
export const RESTORE = onRoom(`
if room.id ~= ARGV[1] then return nil end
local runId, nodeId, node, leaseMs = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local known, members = {}, {}
local first = 8 + ARGV[7]
for i = 8, first - 1 do known[ARGV[i]] = true end
for i = first, #ARGV, 2 do
  if not known[ARGV[i]] then members[ARGV[i]] = tonumber(ARGV[i + 1]) end
end
eachMember(function(id, member)
  if members[id] then members[id] = nil
  elseif member.holder == runId and not known[id] then detach(id, member) end
end)
for id, joinedAt in pairs(members) do attach(id, joinedAt, runId, nodeId, node, leaseMs) end
local holder = room.holders[runId]
if holder then holder.nodeId, holder.expiresAt = nodeId, now + leaseMs end
-- A Redis that failed over may have lost the last ones.
room.revision = math.max(room.revision, tonumber(ARGV[6]))
save()
return withWatchers({})
`);
