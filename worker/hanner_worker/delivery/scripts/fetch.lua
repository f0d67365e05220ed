-- Move messages from the queue to the worker's unacknowledged messages. A worker fetches at most its share of each
-- kind, so that the other workers get theirs.
--
-- Before that, scheduled messages whose time has come are moved to the lists that they came from.
--
-- KEYS[7...]: the lists, those of the first kind first.
-- ARGV[4...]: for each kind: how many lists it has, the maximum number of messages, and 'up' or 'down', which is how the
--   worker's share is rounded.
-- Returns: how many tasks have a crash count; tag, message, tag, message...; Redis' time in ms; and the time in ms of
--   the next scheduled message, or -1.
local leases_key, unacked_key, claimed_at_key, crashes_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local scheduled_key, scheduled_messages_key = KEYS[5], KEYS[6]
local worker_id, lease_ms, last_number = ARGV[1], ARGV[2], tonumber(ARGV[3])
local now, number, fetched, workers, last_list = now_ms(), last_number, {}, nil, 6
local next_due = move_due(scheduled_key, scheduled_messages_key, now)
for kind = 4, #ARGV, 3 do
  local first_list, waiting = last_list + 1, 0
  last_list = last_list + tonumber(ARGV[kind])
  local room, round = tonumber(ARGV[kind + 1]), ARGV[kind + 2] == 'up' and math.ceil or math.floor
  for k = first_list, last_list do waiting = waiting + redis.call('LLEN', KEYS[k]) end
  if waiting > 0 then
    workers = workers or math.max(1, redis.call('ZCARD', leases_key))
    room = math.min(room, round(waiting / workers))
    for k = first_list, last_list do
      local messages = room > 0 and redis.call('RPOP', KEYS[k], room)
      if messages then
        local claims, start = {}, #fetched + 1
        for _, message in ipairs(messages) do
          number = number + 1
          local tag = string.format('%015.0f ', number) .. KEYS[k]
          fetched[#fetched + 1] = tag
          fetched[#fetched + 1] = message
          claims[#claims + 1] = now
          claims[#claims + 1] = tag
        end
        redis.call('HSET', unacked_key, unpack(fetched, start, #fetched))
        redis.call('ZADD', claimed_at_key, unpack(claims))
        room = room - #messages
      end
    end
  end
end
if #fetched > 0 then redis.call('ZADD', leases_key, 'NX', now + lease_ms, worker_id) end
return {redis.call('HLEN', crashes_key), fetched, now, next_due}
