-- Delete a job in any state. Return 'DELETED', or 'MISSING' if there is no such job.
local unfinished, finished = KEYS[1], KEYS[2]
local job, chunks, documents = KEYS[3], KEYS[4], KEYS[5]
local id = ARGV[1]

redis.call('ZREM', unfinished, id)
redis.call('ZREM', finished, id)
redis.call('UNLINK', chunks, documents)
local removed = redis.call('UNLINK', job)
return removed == 1 and 'DELETED' or 'MISSING'
