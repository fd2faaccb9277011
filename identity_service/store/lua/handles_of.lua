#!lua flags=no-writes
-- Purpose: which handles does a visitor point to?
-- KEYS[1]  record (hash)
-- ARGV[1]  length of a handle's name: no other field has it
-- Returns  names of handles
local names = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if #field == tonumber(ARGV[1]) then names[#names + 1] = field end
end
return names
