-- Store and announce results, store dead letters, queue what follows, and acknowledge the messages, of those that the
-- worker still owns.
--
-- KEYS[7...]: the keys of the results, which are also the channels that they are announced on; then the keys of what
--   follows, see queue_followers.
-- ARGV[1]: how many messages there are. Then for each message: tag, task id, result or '' to store none, expiry in
--   seconds or 0 for none, another channel that the result is published on or '', and options: '', as most have none,
--   or a JSON object with any of `replace` (true to replace a result that there is already), `dead_letter` (without its
--   end), `dead_at` (its Unix time), `hold` (true to not acknowledge the message now) and `followers` (how many it has).
--   Then the arguments of the followers.
-- Returns for each: 'OK'; 'ALREADY_ANSWERED' if an earlier result is kept; 'FENCED' if the worker no longer owns it. And
--   after these how many followers were skipped.
local unacked_key, claimed_at_key, running_key = KEYS[1], KEYS[2], KEYS[3]
local crashes_key, dead_key, dead_index_key = KEYS[4], KEYS[5], KEYS[6]
local count = tonumber(ARGV[1])
local NO_OPTIONS = {}
local tags, outcomes, acked_tags, acked_ids, replies = {}, {}, {}, {}, {}
for i = 1, count do tags[i] = ARGV[i * 6 - 4] end

-- Store a result, unless there is one and it is not to be replaced. Return whether it was stored.
local function store(key, result, expiry, replace)
  if expiry == '0' then
    if replace then return redis.call('SET', key, result) end
    return redis.call('SET', key, result, 'NX')
  end
  if replace then return redis.call('SET', key, result, 'EX', expiry) end
  return redis.call('SET', key, result, 'EX', expiry, 'NX')
end

local claims = redis.call('ZMSCORE', claimed_at_key, unpack(tags))
redis.call('HDEL', running_key, unpack(tags))
local follower_key, follower_arg, skipped = 7 + count, 2 + count * 6, 0
for i = 1, count do
  local tag, task_id, result, expiry, channel, options = unpack(ARGV, i * 6 - 4, i * 6 + 1)
  options = options == '' and NO_OPTIONS or cjson.decode(options)
  local result_key, is_new = KEYS[6 + i], false
  if claims[i] then
    outcomes[i], is_new = 'OK', true
    if result ~= '' then
      local is_repeated = options.replace and redis.call('GET', result_key) == result
      if not is_repeated and store(result_key, result, expiry, options.replace) then
        redis.call('PUBLISH', result_key, result)
        if channel ~= '' then
          local others = replies[channel]
          if others then others[#others + 1] = result else replies[channel] = {result} end
        end
      else
        is_new = false
        -- An earlier try of this call, whose reply was lost, has stored the same result.
        if redis.call('GET', result_key) ~= result then outcomes[i] = 'ALREADY_ANSWERED' end
      end
    end
    if options.dead_letter and is_new then
      local _, message = split_takeovers(redis.call('HGET', unacked_key, tag) or '')
      local list = ', "list": ' .. cjson.encode(string.sub(tag, 17))
      redis.call('HSET', dead_key, task_id, options.dead_letter .. cjson.encode(message) .. list .. '}')
      redis.call('ZADD', dead_index_key, options.dead_at, task_id)
    end
    if options.hold then
      redis.call('HSET', running_key, tag, task_id)
    else
      acked_tags[#acked_tags + 1] = tag
      acked_ids[#acked_ids + 1] = task_id
    end
  elseif result ~= '' and redis.call('GET', result_key) == result then
    outcomes[i] = 'OK' -- an earlier try of this call
  else
    outcomes[i] = 'FENCED'
  end
  if options.followers then
    local followers = options.followers
    if is_new then skipped = skipped + queue_followers(follower_key, follower_key + followers - 1, follower_arg) end
    follower_key, follower_arg = follower_key + followers, follower_arg + followers * 2
  end
end
-- All results for one client in one message.
for channel, results in pairs(replies) do redis.call('PUBLISH', channel, table.concat(results, '\n')) end
if #acked_tags > 0 then
  redis.call('HDEL', unacked_key, unpack(acked_tags))
  redis.call('ZREM', claimed_at_key, unpack(acked_tags))
  redis.call('HDEL', crashes_key, unpack(acked_ids))
end
outcomes[count + 1] = skipped
return outcomes
