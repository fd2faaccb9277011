#!lua flags=allow-oom
-- Purpose: remember that a visitor refused links to emails, also without a grant.
-- KEYS[1]  record (hash)
-- ARGV[1]  kind of a new record   ARGV[2]  now, s   ARGV[3]  expiry of a new record, s   ARGV[4]  length of a handle's name
-- Returns  names of the handles that have to be unlinked
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'k', ARGV[1], 'f', ARGV[2], 'l', ARGV[2], 'x', ARGV[3])
  redis.call('EXPIRE', KEYS[1], tonumber(ARGV[3]) - tonumber(ARGV[2]))
end
redis.call('HSET', KEYS[1], 'n', 'refused')
local handles = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if #field == tonumber(ARGV[4]) then handles[#handles + 1] = field end
end
return handles
