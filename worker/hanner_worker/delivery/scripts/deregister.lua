-- Requeue all unacknowledged messages of the worker; when none is left, end its lease.
--
-- Returns how many messages were requeued, and how many are left for another call.
local leases_key, unacked_key, claimed_at_key, running_key, worker_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local worker_id = ARGV[1]
local requeued, left = requeue_tags(unacked_key, claimed_at_key, running_key, redis.call('HKEYS', unacked_key))
if #left == 0 then
  redis.call('ZREM', leases_key, worker_id)
  redis.call('DEL', unacked_key, claimed_at_key, running_key, worker_key)
end
return {requeued, #left}
