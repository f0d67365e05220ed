"""The steps that Redis takes at once, as Lua. Their keys are those of hanner/queue/keys.py; `Ledger` calls them.

A script may write although memory is full once it has written something that frees some, so each begins with that.
Tags are numbers of fifteen digits and the list that the message came from, so sorting them gives the order of arrival.
"""

from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError


@dataclass(frozen=True, slots=True)
class Script:
    """A script of Redis'.

    Attributes:
        source: Lua.
        sha: its name once Redis knows it.
    """

    source: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", sha1(self.source.encode()).hexdigest())  # noqa: S324 - Redis names it so

    def __call__(self, client: Any, keys: list[str], args: list[Any]) -> Any:
        """Run it; Redis is told the source if it has forgotten it.

        Raises:
            RedisError: Redis is away, or refused.
        """
        try:
            return client.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return client.eval(self.source, len(keys), *keys, *args)


_COMMON = """
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
-- Calls a command with many arguments, some thousand at a time: Lua's stack has an end.
local function many(command, key, args)
  for i = 1, #args, 1000 do
    redis.call(command, key, unpack(args, i, math.min(i + 999, #args)))
  end
end
-- Puts messages back to where they came from, the oldest to be taken first.
local function put_back(held, taken, running, tags)
  table.sort(tags, function(a, b) return a > b end)
  local back = {}
  for _, tag in ipairs(tags) do
    local raw = redis.call('HGET', held, tag)
    if raw then
      redis.call('HDEL', held, tag)
      redis.call('RPUSH', string.sub(tag, 17), raw)
      back[#back + 1] = tag
    end
  end
  many('ZREM', taken, tags)
  many('HDEL', running, tags)
  return #back
end
"""

TAKE = Script(
    _COMMON
    + """
-- KEYS: leases, held, taken, deaths, lists...
-- ARGV: owner, lease ms, last number used; then for each kind, in the order of their lists: how many lists, most
-- messages, '1' to take also what cannot be shared.
-- Takes no more of a kind than its share, for all workers that live want some.
-- Returns: how many tasks somebody died under, and tag, message, tag, message...
local number, out, at, workers, last = tonumber(ARGV[3]), {}, now(), nil, 4
for kind = 4, #ARGV, 3 do
  local first, waiting = last + 1, 0
  last = last + tonumber(ARGV[kind])
  for k = first, last do waiting = waiting + redis.call('LLEN', KEYS[k]) end
  local room = tonumber(ARGV[kind + 1])
  if waiting > 0 then
    workers = workers or math.max(1, redis.call('ZCARD', KEYS[1]))
    room = math.min(room, (ARGV[kind + 2] == '1' and math.ceil or math.floor)(waiting / workers))
  end
  for k = first, waiting > 0 and last or 0 do
    local got = room > 0 and redis.call('RPOP', KEYS[k], room)
    if got then
      local index, start = {}, #out + 1
      for _, raw in ipairs(got) do
        number = number + 1
        local tag = string.format('%015.0f ', number) .. KEYS[k]
        out[#out + 1] = tag
        out[#out + 1] = raw
        index[#index + 1] = at
        index[#index + 1] = tag
      end
      redis.call('HSET', KEYS[2], unpack(out, start, #out))
      redis.call('ZADD', KEYS[3], unpack(index))
      room = room - #got
    end
  end
end
if #out > 0 then redis.call('ZADD', KEYS[1], 'NX', at + ARGV[2], ARGV[1]) end
return {redis.call('HLEN', KEYS[4]), out}
"""
)

BEGIN = Script(
    """
-- KEYS: taken, running, results... ARGV: tags..., ids...
-- Returns for each: 0 if it is not ours any more, else the result that it has already, or 1.
local n = #KEYS - 2
local ours = redis.call('ZMSCORE', KEYS[1], unpack(ARGV, 1, n))
local old = redis.call('EXISTS', unpack(KEYS, 3)) > 0
redis.call('HDEL', KEYS[2], unpack(ARGV, 1, n))
local out, run = {}, {}
for i = 1, n do
  out[i] = 0
  if ours[i] then
    run[#run + 1] = ARGV[i]
    run[#run + 1] = ARGV[n + i]
    out[i] = old and redis.call('GET', KEYS[2 + i]) or 1
  end
end
if #run > 0 then redis.call('HSET', KEYS[2], unpack(run)) end
return out
"""
)

FINISH = Script(
    """
-- KEYS: held, taken, running, deaths, dead, dead index, results...
-- ARGV: for each: tag, id, payload or '', expiry in s or 0, '1' to overwrite or '', dead letter or '', its Unix time
-- Returns for each: 1 if it is ours and has ended, 2 if another answer stays, 0 if it was not ours any more.
local n = #KEYS - 6
local tags, ids, out, done, over = {}, {}, {}, {}, {}
for i = 1, n do tags[i] = ARGV[i * 7 - 6] end
local ours = redis.call('ZMSCORE', KEYS[2], unpack(tags))
redis.call('HDEL', KEYS[3], unpack(tags))
for i = 1, n do
  local at = i * 7 - 6
  local tag, id, payload, expiry, key = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), KEYS[6 + i]
  out[i] = 0
  if ours[i] then
    out[i] = 1
    done[#done + 1] = tag
    over[#over + 1] = id
    if payload ~= '' then
      local options = {}
      if expiry > 0 then options = {'EX', expiry} end
      if ARGV[at + 4] == '' then options[#options + 1] = 'NX' end
      if redis.call('SET', key, payload, unpack(options)) then
        redis.call('PUBLISH', key, payload)
      else
        out[i] = 2
      end
    end
    if ARGV[at + 5] ~= '' and out[i] == 1 then
      local raw = redis.call('HGET', KEYS[1], tag)
      local from = ', "list": ' .. cjson.encode(string.sub(tag, 17))
      redis.call('HSET', KEYS[5], id, ARGV[at + 5] .. cjson.encode(raw or '') .. from .. '}')
      redis.call('ZADD', KEYS[6], ARGV[at + 6], id)
    end
  elseif payload ~= '' and redis.call('GET', key) == payload then
    out[i] = 1 -- this very step, tried again because its reply was lost
  end
end
if #done > 0 then
  redis.call('HDEL', KEYS[1], unpack(done))
  redis.call('ZREM', KEYS[2], unpack(done))
  redis.call('HDEL', KEYS[4], unpack(over))
end
return out
"""
)

SETTLE = Script(
    _COMMON
    + """
-- KEYS: held, taken, running, deaths
-- ARGV: how many to forget, their tags..., how many ids, ids..., tags to put back...
local forget, at = {}, tonumber(ARGV[1]) + 2
for i = 2, at - 1 do forget[#forget + 1] = ARGV[i] end
many('HDEL', KEYS[1], forget)
many('ZREM', KEYS[2], forget)
many('HDEL', KEYS[3], forget)
local ids, back = {}, {}
for i = at + 1, at + tonumber(ARGV[at]) do ids[#ids + 1] = ARGV[i] end
many('HDEL', KEYS[4], ids)
for i = at + #ids + 1, #ARGV do back[#back + 1] = ARGV[i] end
return put_back(KEYS[1], KEYS[2], KEYS[3], back)
"""
)

PUT_BACK = Script(
    _COMMON
    + """
-- KEYS: held, taken, running. ARGV: tags to keep. Returns how many went back.
local keep, back = {}, {}
for _, tag in ipairs(ARGV) do keep[tag] = true end
for _, tag in ipairs(redis.call('HKEYS', KEYS[1])) do
  if not keep[tag] then back[#back + 1] = tag end
end
return put_back(KEYS[1], KEYS[2], KEYS[3], back)
"""
)

DIED = Script(
    """
-- KEYS: taken, running, deaths. ARGV: seconds to remember deaths, tags..., ids...
-- Returns for each how many died under it, or 0 if it is not ours any more.
local n, out = (#ARGV - 1) / 2, {}
local ours = redis.call('ZMSCORE', KEYS[1], unpack(ARGV, 2, n + 1))
redis.call('HDEL', KEYS[2], unpack(ARGV, 2, n + 1))
for i = 1, n do
  out[i] = ours[i] and redis.call('HINCRBY', KEYS[3], ARGV[n + 1 + i], 1) or 0
end
redis.call('EXPIRE', KEYS[3], ARGV[1])
return out
"""
)

RENEW = Script(
    _COMMON
    + """
-- KEYS: leases, held, taken, running, deaths, owner, queues
-- ARGV: owner, lease ms, visibility ms, seconds to remember deaths, start of the names of held, of taken, of running,
-- of owner, the queue, field, value...
-- Returns: messages taken back from others, the others, own messages put back because they were held too long.
local me, lease, at = ARGV[1], tonumber(ARGV[2]), now()
local until_ = tonumber(redis.call('ZSCORE', KEYS[1], me) or 0)
redis.call('ZREM', KEYS[1], me)
redis.call('ZADD', KEYS[1], at + lease, me)
-- Only who was here without a gap may say that others were not: after a pause of Redis' all seem late.
local since = tonumber(redis.call('HGET', KEYS[6], 'since') or 0)
if until_ < at or since == 0 or since > at then since = at end
redis.call('HSET', KEYS[6], 'since', since, 'held', redis.call('HLEN', KEYS[2]), unpack(ARGV, 10))
redis.call('SADD', KEYS[7], ARGV[9])
redis.call('PEXPIRE', KEYS[6], 60000 + lease)
-- A clock that was set back leaves deadlines far ahead.
for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], at + 61000, '+inf')) do
  redis.call('ZADD', KEYS[1], at + lease, other)
end
local count, gone = 0, {}
if at - since >= lease * 0.6 then
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', at))) do
    local held, taken, running = ARGV[5] .. other, ARGV[6] .. other, ARGV[7] .. other
    for _, id in ipairs(redis.call('HVALS', running)) do
      redis.call('HINCRBY', KEYS[5], id, 1)
      redis.call('EXPIRE', KEYS[5], ARGV[4])
    end
    count = count + put_back(held, taken, running, redis.call('HKEYS', held))
    redis.call('DEL', held, taken, running, ARGV[8] .. other)
    redis.call('ZREM', KEYS[1], other)
    gone[#gone + 1] = other
  end
end
local late = {}
for _, tag in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', at - ARGV[3], 'LIMIT', 0, 1000)) do
  if redis.call('HEXISTS', KEYS[4], tag) == 0 then late[#late + 1] = tag end
end
return {count, gone, put_back(KEYS[2], KEYS[3], KEYS[4], late)}
"""
)

LEAVE = Script(
    _COMMON
    + """
-- KEYS: leases, held, taken, running, owner. ARGV: owner. Returns how many went back.
redis.call('ZREM', KEYS[1], ARGV[1])
local back = put_back(KEYS[2], KEYS[3], KEYS[4], redis.call('HKEYS', KEYS[2]))
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
return back
"""
)
