-- Acknowledge messages without a result, and requeue others.
--
-- ARGV: how many tags to acknowledge, and these tags; how many task ids whose crash count to remove, and these ids; the
--   tags to requeue.
-- Returns the tags that another call has to requeue.
local unacked_key, claimed_at_key, running_key, crashes_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local acked_tags, finished_ids, requeued_tags = {}, {}, {}
local ids_at = tonumber(ARGV[1]) + 2
for i = 2, ids_at - 1 do acked_tags[#acked_tags + 1] = ARGV[i] end
for i = ids_at + 1, ids_at + tonumber(ARGV[ids_at]) do finished_ids[#finished_ids + 1] = ARGV[i] end
for i = ids_at + #finished_ids + 1, #ARGV do requeued_tags[#requeued_tags + 1] = ARGV[i] end
call_in_chunks('HDEL', unacked_key, acked_tags)
call_in_chunks('ZREM', claimed_at_key, acked_tags)
call_in_chunks('HDEL', running_key, acked_tags)
call_in_chunks('HDEL', crashes_key, finished_ids)
local _, left = requeue_tags(unacked_key, claimed_at_key, running_key, requeued_tags)
return left
