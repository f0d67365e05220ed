-- End the worker's lease and requeue all its unacknowledged messages. Returns how many messages were requeued.
local leases_key, unacked_key, claimed_at_key, running_key, worker_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local worker_id = ARGV[1]
redis.call('ZREM', leases_key, worker_id)
local requeued = requeue_tags(unacked_key, claimed_at_key, running_key, redis.call('HKEYS', unacked_key))
redis.call('DEL', unacked_key, claimed_at_key, running_key, worker_key)
return requeued
