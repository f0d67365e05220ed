-- Renew the lease of a job and the expiry of its keys. Return 'RENEWED', or 'LOST' if the job is gone or has another
-- owner. A lease of 0 ms releases the job.
local unfinished = KEYS[1]
local job, chunks, documents = KEYS[2], KEYS[3], KEYS[4]
local id = ARGV[1]
local owner = ARGV[2]
local lease_ms = ARGV[3]
local ttl = ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local fields = redis.call('HMGET', job, 'owner', 'state')
if fields[1] ~= owner or fields[2] ~= 'running' then return 'LOST' end
redis.call('ZADD', unfinished, 'XX', now + lease_ms, id)
for _, key in ipairs({job, chunks, documents}) do redis.call('EXPIRE', key, ttl) end
return 'RENEWED'
