-- Pushes as many messages as the queue has room for.
-- Returns: how many were pushed, and the length of the queue after that.
local queue = KEYS[1]
local max_length, first_message = tonumber(ARGV[1]), 2

local length = redis.call('LLEN', queue)
local count = math.max(0, math.min(#ARGV - 1, max_length - length))
for i = first_message, count + 1 do
    length = redis.call('LPUSH', queue, ARGV[i])
end
return {count, length}
