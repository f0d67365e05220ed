-- Move messages whose time has not come from the worker's unacknowledged messages to the schedule. The messages of
-- requests that have a result already, because they were revoked, are acknowledged or stay in flight.
--
-- KEYS[6...]: the keys of the results. ARGV: for each message: tag, task id, its time in ms, and 'ack' or 'hold', which
--   is done if it has a result. Of two messages of a task the schedule keeps the last one, because the first result of a
--   task is final.
-- Returns: for each message 'OK', 'ALREADY_ANSWERED', or 'FENCED' if the worker no longer owns it; and for each the
--   stored result or nil.
local unacked_key, claimed_at_key, running_key, scheduled_key, messages_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local outcomes, stored = {}, {}
for i = 1, #KEYS - 5 do
  local tag, task_id, due, if_answered = unpack(ARGV, i * 4 - 3, i * 4)
  local message = redis.call('HGET', unacked_key, tag)
  outcomes[i], stored[i] = 'FENCED', false
  if message then
    local result = redis.call('GET', KEYS[5 + i])
    local is_answered = result and is_final(result)
    if not is_answered or if_answered == 'ack' then
      redis.call('HDEL', unacked_key, tag)
      redis.call('ZREM', claimed_at_key, tag)
      redis.call('HDEL', running_key, tag)
    end
    if is_answered then
      outcomes[i], stored[i] = 'ALREADY_ANSWERED', result
    else
      outcomes[i] = 'OK'
      redis.call('ZADD', scheduled_key, due, task_id)
      redis.call('HSET', messages_key, task_id, string.sub(tag, 17) .. '\n' .. message)
    end
  end
end
return {outcomes, stored}
