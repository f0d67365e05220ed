-- Record that a process works on messages from now on.
--
-- KEYS[3...]: the keys of the results. ARGV: the tags, then the task ids, one of each per result key.
-- Returns: for each message 'OK', or 'FENCED' if the worker no longer owns it; and for each the stored result or nil.
local claimed_at_key, running_key = KEYS[1], KEYS[2]
local count = #KEYS - 2
local claims = redis.call('ZMSCORE', claimed_at_key, unpack(ARGV, 1, count))
local any_stored = redis.call('EXISTS', unpack(KEYS, 3)) > 0
redis.call('HDEL', running_key, unpack(ARGV, 1, count))
local outcomes, stored, running = {}, {}, {}
for i = 1, count do
  local tag, task_id, result_key = ARGV[i], ARGV[count + i], KEYS[2 + i]
  outcomes[i], stored[i] = 'FENCED', false
  if claims[i] then
    outcomes[i] = 'OK'
    stored[i] = any_stored and redis.call('GET', result_key)
    running[#running + 1] = tag
    running[#running + 1] = task_id
  end
end
if #running > 0 then redis.call('HSET', running_key, unpack(running)) end
return {outcomes, stored}
