-- Return whether a stored result is the end of its task. Other values, such as Celery's RETRY, are not.
local function is_final(document)
    local is_json, meta = pcall(cjson.decode, document)
    if not is_json or type(meta) ~= 'table' then return false end
    return meta.status == 'SUCCESS' or meta.status == 'FAILURE' or meta.status == 'REVOKED'
end

