-- Stores REVOKED as the result of requests that have not ended and that no process works on, and announces it. The first
-- end of a request is kept.
--
-- KEYS: for each queue: its leases and its schedule; then the keys of the results.
-- ARGV: number of queues; expiry of the results in seconds, 0 for none; 'any', or 'scheduled' for scheduled requests
--   alone; for each queue: the prefix of its workers' running requests; for each request: its id and result.
-- Returns for each request: 'REVOKED', 'ENDED', 'RUNNING', or 'UNKNOWN' if it is not scheduled.
local queues, expiry, which = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]

local running = {}
for q = 1, queues do
    for _, worker in ipairs(redis.call('ZRANGE', KEYS[q * 2 - 1], 0, -1)) do
        for _, task_id in ipairs(redis.call('HVALS', ARGV[3 + q] .. worker)) do running[task_id] = true end
    end
end

-- A scheduled request is due at once: the worker that fetches it finds its result, and sends the event.
local function make_due(task_id)
    local scheduled = false
    for q = 1, queues do
        if redis.call('ZSCORE', KEYS[q * 2], task_id) then
            scheduled = true
            redis.call('ZADD', KEYS[q * 2], 0, task_id)
        end
    end
    return scheduled
end

local outcomes = {}
for i = 1, #KEYS - queues * 2 do
    local result_key = KEYS[queues * 2 + i]
    local task_id, document = ARGV[3 + queues + i * 2 - 1], ARGV[3 + queues + i * 2]
    local stored = redis.call('GET', result_key)
    if running[task_id] then
        outcomes[i] = 'RUNNING'
    elseif stored and is_final(stored) then
        outcomes[i] = 'ENDED'
    elseif not make_due(task_id) and which == 'scheduled' then
        outcomes[i] = 'UNKNOWN'
    else
        outcomes[i] = 'REVOKED'
        if expiry > 0 then
            redis.call('SET', result_key, document, 'EX', expiry)
        else
            redis.call('SET', result_key, document)
        end
        redis.call('PUBLISH', result_key, document)
    end
end
return outcomes
