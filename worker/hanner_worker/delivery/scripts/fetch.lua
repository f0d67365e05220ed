-- Move messages from the queue to the worker's unacknowledged messages. A worker fetches at most its share of each
-- kind, so that the other workers get theirs. A message with takeovers is fetched alone, because it may have killed the
-- workers that fetched it. Of a message that is too large, only size, start and end are kept.
--
-- Before that, scheduled messages whose time has come are moved to the lists that they came from.
--
-- KEYS[7...]: the lists, those of the first kind first.
-- ARGV[6...]: for each kind: how many lists it has, the maximum number of messages, the number of bytes after which no
--   further message is fetched, and 'up' or 'down', which is how the worker's share is rounded.
-- Returns: how many tasks have a crash count; tag, message, tag, message...; the kind, from 0, whose next message has
--   takeovers and has to be fetched alone, or -1; Redis' time in ms; and the time in ms of the next scheduled message,
--   or -1.
local leases_key, unacked_key, claimed_at_key, crashes_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local scheduled_key, scheduled_messages_key = KEYS[5], KEYS[6]
local worker_id, lease_ms, last_number = ARGV[1], ARGV[2], tonumber(ARGV[3])
local max_message_bytes, kept_bytes, first_arg = tonumber(ARGV[4]), tonumber(ARGV[5]), 6
local now, number, fetched, workers, last_list = now_ms(), last_number, {}, nil, 6
local waiting_in_all, is_alone, next_alone = 0, false, -1
local next_due = move_due(scheduled_key, scheduled_messages_key, now)
for kind = first_arg, #ARGV, 4 do
  local first_list, waiting = last_list + 1, 0
  last_list = last_list + tonumber(ARGV[kind])
  local room, bytes = tonumber(ARGV[kind + 1]), tonumber(ARGV[kind + 2])
  local round = ARGV[kind + 3] == 'up' and math.ceil or math.floor
  for k = first_list, last_list do waiting = waiting + redis.call('LLEN', KEYS[k]) end
  waiting_in_all = waiting_in_all + waiting
  if waiting > 0 and not is_alone then
    workers = workers or math.max(1, redis.call('ZCARD', leases_key))
    room = math.min(room, round(waiting / workers))
    for k = first_list, last_list do
      local claims, start = {}, #fetched + 1
      while room > 0 and bytes > 0 do
        local message = redis.call('RPOP', KEYS[k])
        if not message then break end
        if string.byte(message) ~= 123 and split_takeovers(message) > 0 then
          room = 0
          if #fetched > 0 then
            redis.call('RPUSH', KEYS[k], message)
            next_alone = (kind - first_arg) / 4
            break
          end
          is_alone = true
        end
        if #message > max_message_bytes then
          local head, tail = string.sub(message, 1, kept_bytes), string.sub(message, -kept_bytes)
          message = 'oversized ' .. string.format('%.0f', #message) .. '\n' .. head .. '\n' .. tail
        end
        number = number + 1
        local tag = string.format('%015.0f ', number) .. KEYS[k]
        fetched[#fetched + 1] = tag
        fetched[#fetched + 1] = message
        claims[#claims + 1] = now
        claims[#claims + 1] = tag
        room, bytes = room - 1, bytes - #message
      end
      if #claims > 0 then
        redis.call('HSET', unacked_key, unpack(fetched, start, #fetched))
        redis.call('ZADD', claimed_at_key, unpack(claims))
      end
    end
  end
end
if #fetched > 0 then redis.call('ZADD', leases_key, 'NX', now + lease_ms, worker_id) end
-- The reply of the BLMOVE before this script is skipped. If Redis refused it, this command is refused too; it changes
-- nothing.
if waiting_in_all == 0 then redis.call('ZADD', leases_key, 'XX', 0, '') end
return {redis.call('HLEN', crashes_key), fetched, next_alone, now, next_due}
