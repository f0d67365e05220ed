-- Count a crash for tasks whose process died.
--
-- ARGV[2...]: the tags, then the task ids, one per tag.
-- Returns for each the number of crashes so far, or nil if the worker no longer owns the message.
local claimed_at_key, running_key, crashes_key = KEYS[1], KEYS[2], KEYS[3]
local crash_ttl = ARGV[1]
local count, crashes = (#ARGV - 1) / 2, {}
local claims = redis.call('ZMSCORE', claimed_at_key, unpack(ARGV, 2, count + 1))
redis.call('HDEL', running_key, unpack(ARGV, 2, count + 1))
for i = 1, count do
  crashes[i] = claims[i] and redis.call('HINCRBY', crashes_key, ARGV[count + 1 + i], 1)
end
redis.call('EXPIRE', crashes_key, crash_ttl)
return crashes
