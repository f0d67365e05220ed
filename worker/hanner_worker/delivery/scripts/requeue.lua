-- Requeue all unacknowledged messages of a worker, except those whose tags are given.
--
-- ARGV: the tags of the messages to keep.
-- Returns how many messages were requeued, and how many are left for another call.
local unacked_key, claimed_at_key, running_key = KEYS[1], KEYS[2], KEYS[3]
local kept, requeued_tags = {}, {}
for _, tag in ipairs(ARGV) do kept[tag] = true end
for _, tag in ipairs(redis.call('HKEYS', unacked_key)) do
  if not kept[tag] then requeued_tags[#requeued_tags + 1] = tag end
end
local requeued, left = requeue_tags(unacked_key, claimed_at_key, running_key, requeued_tags)
return {requeued, #left}
