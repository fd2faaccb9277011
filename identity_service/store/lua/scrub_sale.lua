#!lua flags=allow-oom
-- Purpose: take a person out of a sale; the order itself stays.
-- KEYS[1]  sale (hash)
-- ARGV[1]  visitor: drop all personal fields if the sale is this visitor's   handle: drop that handle alone
-- ARGV[2]  the visitor, or the handle's name
-- Returns  names of the handles that were dropped
local dropped = {}
local whole = ARGV[1] == 'visitor' and redis.call('HGET', KEYS[1], 'visitor') == ARGV[2]
for _, field in ipairs({'email', 'customer'}) do
  local name = redis.call('HGET', KEYS[1], field)
  if name and (whole or (ARGV[1] == 'handle' and name == ARGV[2])) then
    redis.call('HDEL', KEYS[1], field)
    dropped[#dropped + 1] = name
  end
end
if whole then redis.call('HDEL', KEYS[1], 'visitor', 'kind', 'expires', 'attribution') end
return dropped
