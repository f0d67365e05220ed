-- Create a job whose chunks are stored already. Return 'CREATED', or 'FULL' if too many jobs are unfinished.
local unfinished = KEYS[1]
local job = KEYS[2]
local max_jobs = tonumber(ARGV[1])
local ttl = ARGV[2]
local id = ARGV[3]
local total = ARGV[4]
local options = ARGV[5]
local request_id = ARGV[6]
local traceparent = ARGV[7]

if redis.call('ZCARD', unfinished) >= max_jobs then return 'FULL' end
redis.call('HSET', job, 'state', 'queued', 'done', 0, 'failed', 0, 'total', total,
  'options', options, 'request_id', request_id, 'traceparent', traceparent)
redis.call('EXPIRE', job, ttl)
redis.call('ZADD', unfinished, 0, id)
return 'CREATED'
