-- Count the messages in a list. Like BLMOVE, and unlike LLEN, it is refused by a Redis that accepts no writes or has no
-- memory left.
--
-- KEYS: the workers' leases; a list.
-- Returns: the number of its messages.
local leases_key, list = KEYS[1], KEYS[2]
redis.call('ZADD', leases_key, 'XX', 0, '') -- changes nothing
return redis.call('LLEN', list)
