-- Reads the state of a queue. Changes nothing.
-- Message bodies hold the texts and may be large, so only the part of a message after its body is returned, and a sample
-- ends when it has read MAX_BYTES.
-- Returns: time, {depth} and {sample} and {oldest of each list}, each for interactive and bulk; dead letters; workers;
--   scheduled requests; the ETA in ms of the next one, or -1.
local dead_letters, leases, scheduled, first_list = KEYS[1], KEYS[2], KEYS[3], 4
local worker_prefix, sample_size, first_bulk_list = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local INTERACTIVE, BULK, MAX_BYTES = 1, 2, 4194304

local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)

local function headers_of(list, index)
    local message = redis.call('LINDEX', list, index) or ''
    local start = string.find(message, '"headers":', 1, true)
    return start and string.sub(message, start) or '', #message
end

local depth, oldest, sample = {0, 0}, {{}, {}}, {{}, {}}
for k = first_list, #KEYS do
    local list = KEYS[k]
    local length, kind = redis.call('LLEN', list), k < first_bulk_list and INTERACTIVE or BULK
    depth[kind] = depth[kind] + length
    if length > 0 then
        oldest[kind][#oldest[kind] + 1] = (headers_of(list, -1))
        local count, read = math.min(length, sample_size), 0
        for i = 0, count - 1 do
            if read > MAX_BYTES then break end
            local headers, size = headers_of(list, math.floor(i * length / count))
            sample[kind][#sample[kind] + 1] = headers
            read = read + size
        end
    end
end

local workers = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, now_ms, '+inf')) do
    table.insert(workers, {id, redis.call('HGETALL', worker_prefix .. id)})
end

local time = now[1] .. '.' .. string.format('%06d', now[2])
local next_scheduled = redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')
local next_due = next_scheduled[2] or '-1'
return {time, depth, oldest, sample, redis.call('HLEN', dead_letters), workers, redis.call('ZCARD', scheduled), next_due}
