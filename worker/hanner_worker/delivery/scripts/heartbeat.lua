-- Renew the worker's lease and write its status. Requeue the messages of workers whose lease has expired, and own
-- messages that were claimed too long ago and do not run. Delete dead letters that are too old, and the oldest of too many.
--
-- ARGV[10]: maximum number of dead letters, ARGV[11]: their maximum age in seconds; 0 for no limit.
-- ARGV[12...]: fields and values of the worker's status.
-- Returns: messages requeued from expired workers, these workers' ids, own messages requeued, 1 if there is more to do
--   in another call or 0, of how many of the messages a takeover was counted, dead letters deleted because of their age,
--   and because of their number.
local leases_key, unacked_key, claimed_at_key, running_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local crashes_key, worker_key, queues_key = KEYS[5], KEYS[6], KEYS[7]
local dead_key, dead_index_key = KEYS[8], KEYS[9]
local worker_id, lease_ms, visibility_timeout_ms, crash_ttl = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local unacked_prefix, claimed_at_prefix, running_prefix, worker_prefix = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local queue, max_dead_letters, dead_letter_ttl = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])
local MAX_DELETED = 500

-- Return the first and the last number of the messages that may have killed a worker: those of its last fetch, if it had
-- not handled them before its last heartbeat and no process has started one of them. There are none if the first is larger.
local function find_suspects(other_claimed_at_key, other_running_key, handled)
  local newest, first, last = redis.call('ZRANGE', other_claimed_at_key, -1, -1, 'WITHSCORES'), 1, 0
  if #newest == 0 then return first, last end
  for _, tag in ipairs(redis.call('ZRANGEBYSCORE', other_claimed_at_key, newest[2], newest[2])) do
    if redis.call('HEXISTS', other_running_key, tag) == 1 then return 1, 0 end
    local number = tonumber(string.sub(tag, 1, 15))
    if number > handled then
      if last == 0 then first = number end
      first, last = math.min(first, number), math.max(last, number)
    end
  end
  return first, last
end

local function delete_dead_letters(task_ids)
  if #task_ids > 0 then
    redis.call('HDEL', dead_key, unpack(task_ids))
    redis.call('ZREM', dead_index_key, unpack(task_ids))
  end
  return #task_ids
end

local now = now_ms()
local own_deadline = tonumber(redis.call('ZSCORE', leases_key, worker_id) or 0)
redis.call('ZREM', leases_key, worker_id)
redis.call('ZADD', leases_key, now + lease_ms, worker_id)
-- Only a worker with an uninterrupted lease may expire other workers' leases: after a pause of Redis all seem late.
local since = tonumber(redis.call('HGET', worker_key, 'since') or 0)
if own_deadline < now or since == 0 or since > now then since = now end
redis.call('HSET', worker_key, 'since', since, 'unacked', redis.call('HLEN', unacked_key), unpack(ARGV, 12))
redis.call('SADD', queues_key, queue)
redis.call('PEXPIRE', worker_key, 60000 + lease_ms)
-- A clock that was set back leaves deadlines that are far ahead.
for _, other in ipairs(redis.call('ZRANGEBYSCORE', leases_key, now + 61000, '+inf')) do
  redis.call('ZADD', leases_key, now + lease_ms, other)
end

local requeued, expired_workers, suspected, more = 0, {}, 0, 0
if now - since >= lease_ms * 0.6 then
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', leases_key, '-inf', '(' .. string.format('%.0f', now))) do
    if more == 1 then break end
    local other_unacked_key, other_claimed_at_key = unacked_prefix .. other, claimed_at_prefix .. other
    local other_running_key, other_worker_key = running_prefix .. other, worker_prefix .. other
    for _, task_id in ipairs(redis.call('HVALS', other_running_key)) do
      redis.call('HINCRBY', crashes_key, task_id, 1)
      redis.call('EXPIRE', crashes_key, crash_ttl)
    end
    local known = redis.call('HMGET', other_worker_key, 'handled', 'first_suspect', 'last_suspect')
    local first, last = tonumber(known[2]), tonumber(known[3])
    if not first then
      first, last = find_suspects(other_claimed_at_key, other_running_key, tonumber(known[1]) or 0)
    end
    local tags = redis.call('HKEYS', other_unacked_key)
    local moved, left, suspects =
      requeue_tags(other_unacked_key, other_claimed_at_key, other_running_key, tags, first, last)
    requeued, suspected = requeued + moved, suspected + suspects
    if #left > 0 then
      more = 1
      -- For the next call, which moves the rest: crashes are counted, and the newest messages are gone.
      redis.call('DEL', other_running_key)
      redis.call('HSET', other_worker_key, 'first_suspect', first, 'last_suspect', last)
    else
      redis.call('DEL', other_unacked_key, other_claimed_at_key, other_running_key, other_worker_key)
      redis.call('ZREM', leases_key, other)
      expired_workers[#expired_workers + 1] = other
    end
  end
end

local overdue_tags, claimed_before = {}, now - visibility_timeout_ms
for _, tag in ipairs(redis.call('ZRANGEBYSCORE', claimed_at_key, '-inf', claimed_before, 'LIMIT', 0, 1000)) do
  if redis.call('HEXISTS', running_key, tag) == 0 then overdue_tags[#overdue_tags + 1] = tag end
end
local overdue, left = requeue_tags(unacked_key, claimed_at_key, running_key, overdue_tags)
if #left > 0 then more = 1 end

local too_old, too_many = 0, 0
if dead_letter_ttl > 0 then
  local oldest_kept = string.format('%.3f', now / 1000 - dead_letter_ttl)
  local old = redis.call('ZRANGEBYSCORE', dead_index_key, '-inf', '(' .. oldest_kept, 'LIMIT', 0, MAX_DELETED)
  too_old = delete_dead_letters(old)
end
if max_dead_letters > 0 then
  local excess = math.min(redis.call('ZCARD', dead_index_key) - max_dead_letters, MAX_DELETED)
  if excess > 0 then too_many = delete_dead_letters(redis.call('ZRANGE', dead_index_key, 0, excess - 1)) end
end
if too_old == MAX_DELETED or too_many == MAX_DELETED then more = 1 end
return {requeued, expired_workers, overdue, more, suspected, too_old, too_many}
