-- Claim a job whose lease has expired or was never taken.
-- Return its id, options, request id and traceparent, or nil if no job can be claimed.
local unfinished = KEYS[1]
local prefix = ARGV[1]
local owner = ARGV[2]
local lease_ms = ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

for _, id in ipairs(redis.call('ZRANGEBYSCORE', unfinished, '-inf', now)) do
  local job = prefix .. ':' .. id
  if redis.call('EXISTS', job) == 0 then
    redis.call('ZREM', unfinished, id)  -- the job has expired
  else
    redis.call('ZADD', unfinished, now + lease_ms, id)
    redis.call('HSET', job, 'state', 'running', 'owner', owner)
    local fields = redis.call('HMGET', job, 'options', 'request_id', 'traceparent')
    return {id, fields[1], fields[2], fields[3] or ''}
  end
end
return nil
