-- Move messages whose time has not come from the worker's unacknowledged messages to the schedule.
--
-- ARGV: for each message: tag, task id, and its time in ms. Of two messages of a task the schedule keeps the last one,
--   because the first result of a task is final.
-- Returns how many messages were moved.
local unacked_key, claimed_at_key, running_key, scheduled_key, messages_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local count = 0
for i = 1, #ARGV, 3 do
  local tag, task_id, due = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local message = redis.call('HGET', unacked_key, tag)
  if message then
    redis.call('HDEL', unacked_key, tag)
    redis.call('ZREM', claimed_at_key, tag)
    redis.call('HDEL', running_key, tag)
    redis.call('ZADD', scheduled_key, due, task_id)
    redis.call('HSET', messages_key, task_id, string.sub(tag, 17) .. '\n' .. message)
    count = count + 1
  end
end
return count
