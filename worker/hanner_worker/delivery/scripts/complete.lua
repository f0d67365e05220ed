-- Store and announce results, store dead letters, and acknowledge the messages, of those that the worker still owns.
--
-- KEYS[7...]: the keys of the results, which are also the channels that they are announced on.
-- ARGV: for each message: tag, task id, result or '' to store none, expiry in seconds or 0 for none, 'replace' or
--   'keep' (what to do if there is a result already), dead letter without its end or '', Unix time of the dead letter.
-- Returns for each: 'OK'; 'ALREADY_ANSWERED' if an earlier result is kept; 'FENCED' if the worker no longer owns it.
local unacked_key, claimed_at_key, running_key = KEYS[1], KEYS[2], KEYS[3]
local crashes_key, dead_key, dead_index_key = KEYS[4], KEYS[5], KEYS[6]
local count = #KEYS - 6
local tags, outcomes, acked_tags, acked_ids = {}, {}, {}, {}
for i = 1, count do tags[i] = ARGV[i * 7 - 6] end
local claims = redis.call('ZMSCORE', claimed_at_key, unpack(tags))
redis.call('HDEL', running_key, unpack(tags))
for i = 1, count do
  local tag, task_id, result, expiry, existing, dead_letter, dead_at = unpack(ARGV, i * 7 - 6, i * 7)
  local result_key = KEYS[6 + i]
  if claims[i] then
    outcomes[i] = 'OK'
    acked_tags[#acked_tags + 1] = tag
    acked_ids[#acked_ids + 1] = task_id
    if result ~= '' then
      local options = {}
      if tonumber(expiry) > 0 then options = {'EX', expiry} end
      if existing == 'keep' then options[#options + 1] = 'NX' end
      if redis.call('SET', result_key, result, unpack(options)) then
        redis.call('PUBLISH', result_key, result)
      else
        outcomes[i] = 'ALREADY_ANSWERED'
      end
    end
    if dead_letter ~= '' and outcomes[i] == 'OK' then
      local _, message = split_takeovers(redis.call('HGET', unacked_key, tag) or '')
      local list = ', "list": ' .. cjson.encode(string.sub(tag, 17))
      redis.call('HSET', dead_key, task_id, dead_letter .. cjson.encode(message) .. list .. '}')
      redis.call('ZADD', dead_index_key, dead_at, task_id)
    end
  elseif result ~= '' and redis.call('GET', result_key) == result then
    outcomes[i] = 'OK' -- an earlier try of this call, whose reply was lost
  else
    outcomes[i] = 'FENCED'
  end
end
if #acked_tags > 0 then
  redis.call('HDEL', unacked_key, unpack(acked_tags))
  redis.call('ZREM', claimed_at_key, unpack(acked_tags))
  redis.call('HDEL', crashes_key, unpack(acked_ids))
end
return outcomes
