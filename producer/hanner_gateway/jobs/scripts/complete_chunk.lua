-- Store the documents of a chunk; the last chunk finishes the job. A chunk that was completed before is not stored again.
-- Return 'STORED', or 'LOST' if the job is gone.
local unfinished, finished = KEYS[1], KEYS[2]
local job, chunks, documents = KEYS[3], KEYS[4], KEYS[5]
local id = ARGV[1]
local number = ARGV[2]
local payload = ARGV[3]
local count = ARGV[4]
local failed = ARGV[5]
local ttl = ARGV[6]
local max_jobs = ARGV[7]
local prefix = ARGV[8]
local model = ARGV[9]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if redis.call('EXISTS', job) == 0 then return 'LOST' end
if redis.call('HSETNX', documents, number, payload) == 0 then return 'STORED' end
redis.call('HDEL', chunks, number)
local done = redis.call('HINCRBY', job, 'done', count)
redis.call('HINCRBY', job, 'failed', failed)
if model ~= '' then redis.call('HSET', job, 'model', model) end
for _, key in ipairs({job, chunks, documents}) do redis.call('EXPIRE', key, ttl) end
if done == tonumber(redis.call('HGET', job, 'total')) then
  redis.call('HSET', job, 'state', 'done')
  redis.call('ZREM', unfinished, id)
  redis.call('ZADD', finished, now, id)
  redis.call('EXPIRE', finished, ttl)
  for _, old_id in ipairs(redis.call('ZRANGE', finished, 0, -1 - max_jobs)) do
    local old = prefix .. ':' .. old_id
    redis.call('UNLINK', old, old .. ':texts', old .. ':documents')
    redis.call('ZREM', finished, old_id)
  end
end
return 'STORED'
