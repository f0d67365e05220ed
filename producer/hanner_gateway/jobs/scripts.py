"""What Redis does in one step for jobs; times are Redis's own. KEYS and ARGV stand above each script."""

NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"

OPEN = """
-- unfinished jobs, ended jobs, the job | most, ttl, id, total, options, request id, traceparent
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[3], 'state', 'queued', 'done', 0, 'failed', 0, 'total', ARGV[4],
  'options', ARGV[5], 'request_id', ARGV[6], 'traceparent', ARGV[7])
redis.call('EXPIRE', KEYS[3], ARGV[2])
redis.call('ZADD', KEYS[1], 0, ARGV[3])
return 1
"""

CLAIM = f"""
-- unfinished jobs | prefix, owner, lease in ms
{NOW}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  local job = ARGV[1] .. ':' .. id
  if redis.call('EXISTS', job) == 0 then
    redis.call('ZREM', KEYS[1], id)  -- it expired
  else
    redis.call('ZADD', KEYS[1], now + ARGV[3], id)
    redis.call('HSET', job, 'state', 'running', 'owner', ARGV[2])
    redis.call('PUBLISH', job, 'running')
    local found = redis.call('HMGET', job, 'options', 'request_id', 'traceparent')
    return {{id, found[1], found[2], found[3] or ''}}
  end
end
return false
"""

RENEW = f"""
-- unfinished jobs, the job, its texts, its documents | id, owner, lease in ms, ttl
local found = redis.call('HMGET', KEYS[2], 'owner', 'state')
if found[1] ~= ARGV[2] or found[2] ~= 'running' then return 0 end
{NOW}
redis.call('ZADD', KEYS[1], 'XX', now + ARGV[3], ARGV[1])
for n = 2, 4 do redis.call('EXPIRE', KEYS[n], ARGV[4]) end
return 1
"""

PUT = f"""
-- unfinished jobs, ended jobs, the job, its texts, its documents
-- | id, number, documents, how many, how many failed, ttl, most, prefix
if redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
if redis.call('HSETNX', KEYS[5], ARGV[2], ARGV[3]) == 0 then return 1 end
redis.call('HDEL', KEYS[4], ARGV[2])
local done = redis.call('HINCRBY', KEYS[3], 'done', ARGV[4])
redis.call('HINCRBY', KEYS[3], 'failed', ARGV[5])
for n = 3, 5 do redis.call('EXPIRE', KEYS[n], ARGV[6]) end
if done == tonumber(redis.call('HGET', KEYS[3], 'total')) then
  {NOW}
  redis.call('HSET', KEYS[3], 'state', 'done')
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('ZADD', KEYS[2], now, ARGV[1])
  redis.call('EXPIRE', KEYS[2], ARGV[6])
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1 - ARGV[7])) do
    local old = ARGV[8] .. ':' .. id
    redis.call('UNLINK', old, old .. ':texts', old .. ':documents')
    redis.call('ZREM', KEYS[2], id)
  end
end
redis.call('PUBLISH', KEYS[3], 'done')
return 1
"""

DROP = """
-- unfinished jobs, ended jobs, the job, its texts, its documents | id
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('UNLINK', KEYS[4], KEYS[5])
local there = redis.call('UNLINK', KEYS[3])
redis.call('PUBLISH', KEYS[3], 'gone')
return there
"""
