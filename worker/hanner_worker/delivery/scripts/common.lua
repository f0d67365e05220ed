-- Functions that several scripts use. The loader puts them in front of each script.

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

-- Move scheduled messages whose time has come, at most 100, to the lists that they came from, so that they are fetched
-- next. Return the time of the next one, or -1.
local function move_due(scheduled_key, messages_key, now)
  local first = redis.call('ZRANGE', scheduled_key, 0, 0, 'WITHSCORES')
  if not first[1] then return -1 end
  if tonumber(first[2]) > now then return tonumber(first[2]) end
  local due = redis.call('ZRANGEBYSCORE', scheduled_key, '-inf', now, 'LIMIT', 0, 100)
  for i = #due, 1, -1 do
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

-- Move messages back to the lists that they came from, so that the oldest is fetched first. Return how many moved.
local function requeue_tags(unacked_key, claimed_at_key, running_key, tags)
  table.sort(tags, function(a, b) return a > b end)
  local count = 0
  for _, tag in ipairs(tags) do
    local message = redis.call('HGET', unacked_key, tag)
    if message then
      redis.call('HDEL', unacked_key, tag)
      redis.call('RPUSH', string.sub(tag, 17), message)
      count = count + 1
    end
  end
  call_in_chunks('ZREM', claimed_at_key, tags)
  call_in_chunks('HDEL', running_key, tags)
  return count
end

