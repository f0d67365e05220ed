-- Queue the body of a chord, or store its failure and queue its errbacks, and delete the chord's keys.
--
-- KEYS[1]: the claim; KEYS[2..5]: the chord's other keys, [4] is its size; KEYS[6...]: keys of followers, see queue_followers.
-- ARGV: the caller's claim, seconds for which the end is remembered, arguments of followers.
-- Returns how many followers were skipped, or -1 if the caller's claim has expired and another process has claimed or
--   finished the chord.
local claim_key, size_key = KEYS[1], KEYS[4]
local token, done_seconds = ARGV[1], ARGV[2]
local claim = redis.call('GET', claim_key)
if claim ~= token and (claim or redis.call('EXISTS', size_key) == 0) then return -1 end
redis.call('DEL', unpack(KEYS, 2, 5))
redis.call('SET', claim_key, 'done', 'EX', done_seconds)
return queue_followers(6, #KEYS, 3)
