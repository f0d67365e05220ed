-- Functions that several scripts use. The loader puts them in front of each script.

-- One script moves at most this many bytes or messages, so that Redis is never blocked for long; but at least one message.
local MAX_MOVED_BYTES, MAX_MOVED_MESSAGES = 8388608, 10000

-- A line in front of a message: how often a worker died that had just fetched it.
local TAKEOVERS = 'takeovers '

-- Return Redis' time in milliseconds.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Call a command with any number of arguments, 1000 at a time, because Lua's stack is limited.
local function call_in_chunks(command, key, args)
  for i = 1, #args, 1000 do
    redis.call(command, key, unpack(args, i, math.min(i + 999, #args)))
  end
end

-- Move scheduled messages whose time has come, at most 100 or MAX_MOVED_BYTES, to the lists that they came from, so that
-- they are fetched next. Return the time of the next one, or -1.
local function move_due(scheduled_key, messages_key, now)
  local first = redis.call('ZRANGE', scheduled_key, 0, 0, 'WITHSCORES')
  if not first[1] then return -1 end
  if tonumber(first[2]) > now then return tonumber(first[2]) end
  local due = redis.call('ZRANGEBYSCORE', scheduled_key, '-inf', now, 'LIMIT', 0, 100)
  local count, bytes = 0, 0
  for i, task_id in ipairs(due) do
    bytes = bytes + redis.call('HSTRLEN', messages_key, task_id)
    if i > 1 and bytes > MAX_MOVED_BYTES then break end
    count = i
  end
  for i = count, 1, -1 do
    local task_id = due[i]
    local message = redis.call('HGET', messages_key, task_id)
    redis.call('ZREM', scheduled_key, task_id)
    redis.call('HDEL', messages_key, task_id)
    if message then
      local list_end = string.find(message, '\n', 1, true)
      redis.call('RPUSH', string.sub(message, 1, list_end - 1), string.sub(message, list_end + 1))
    end
  end
  local following = redis.call('ZRANGE', scheduled_key, 0, 0, 'WITHSCORES')
  return following[1] and math.max(now, tonumber(following[2])) or -1
end

-- Return a message's takeovers, and the message without the line that counts them.
local function split_takeovers(message)
  if string.byte(message) == 123 or string.sub(message, 1, #TAKEOVERS) ~= TAKEOVERS then return 0, message end
  local line_end = string.find(message, '\n', 1, true) or #message
  return tonumber(string.sub(message, #TAKEOVERS + 1, line_end - 1)) or 0, string.sub(message, line_end + 1)
end

-- Move messages back to the lists that they came from, so that the oldest is fetched first. A takeover is counted for
-- those whose numbers are from `first_suspect` to `last_suspect`, if these are given. Return how many messages moved, the
-- tags that are left for another call, and how many takeovers were counted.
local function requeue_tags(unacked_key, claimed_at_key, running_key, tags, first_suspect, last_suspect)
  table.sort(tags, function(a, b) return a > b end)
  local count, bytes, moved, left, suspects = 0, 0, {}, {}, 0
  for i, tag in ipairs(tags) do
    bytes = bytes + redis.call('HSTRLEN', unacked_key, tag)
    if i > 1 and (bytes > MAX_MOVED_BYTES or i > MAX_MOVED_MESSAGES) then
      for k = i, #tags do left[#left + 1] = tags[k] end
      break
    end
    local message = redis.call('HGET', unacked_key, tag)
    if message then
      local number = first_suspect and tonumber(string.sub(tag, 1, 15))
      if number and number >= first_suspect and number <= last_suspect then
        local takeovers, plain = split_takeovers(message)
        message = TAKEOVERS .. (takeovers + 1) .. '\n' .. plain
        suspects = suspects + 1
      end
      redis.call('HDEL', unacked_key, tag)
      redis.call('RPUSH', string.sub(tag, 17), message)
      count = count + 1
    end
    moved[#moved + 1] = tag
  end
  call_in_chunks('ZREM', claimed_at_key, moved)
  call_in_chunks('HDEL', running_key, moved)
  return count, left, suspects
end

-- Queue messages and store results of other tasks, whose keys are KEYS[first_key] to KEYS[last_key]. For each there are
-- two arguments, from ARGV[first_arg] on: the expiry of a result in seconds, 0 for none, or 'queue' for a message; and
-- the value. A list whose key has another type is skipped, because it would end the script in the middle. Return how
-- many were skipped.
local function queue_followers(first_key, last_key, first_arg)
  local skipped = 0
  for k = first_key, last_key do
    local at = first_arg + (k - first_key) * 2
    local expiry, value = ARGV[at], ARGV[at + 1]
    if expiry == 'queue' then
      local reply = redis.pcall('LPUSH', KEYS[k], value)
      if type(reply) == 'table' and reply.err then skipped = skipped + 1 end
    else
      local options = {}
      if tonumber(expiry) > 0 then options = {'EX', expiry} end
      redis.call('SET', KEYS[k], value, unpack(options))
      redis.call('PUBLISH', KEYS[k], value)
    end
  end
  return skipped
end
