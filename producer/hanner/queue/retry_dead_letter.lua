-- Moves one dead letter back into the queue. Only the caller that removes the letter sends its message, so that two
-- operators who retry it send it once.
local letters, index, crashes, result, queue = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local task_id, message = ARGV[1], ARGV[2]

if redis.call('HEXISTS', letters, task_id) == 0 then return 0 end
-- First, because a Redis at its memory limit refuses this push, and then nothing has changed.
redis.call('LPUSH', queue, message)
redis.call('HDEL', letters, task_id)
redis.call('ZREM', index, task_id)
-- A worker acknowledges a request without running it if it has a result or too many crashes, so both are deleted.
redis.call('HDEL', crashes, task_id)
redis.call('DEL', result)
return 1
