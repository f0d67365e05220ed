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

