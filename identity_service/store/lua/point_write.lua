#!lua
-- Purpose: write a pointer in a visitor's record, and the record where there is none that lives.
-- KEYS[1]  record (hash)
-- ARGV     as of link_point
-- Returns  expiry s; v or u: what the pointer is now
local expires, pointer = unpack(redis.call('HMGET', KEYS[1], 'x', ARGV[1]))
if expires and tonumber(expires) <= tonumber(ARGV[3]) then
  redis.call('DEL', KEYS[1])
  expires, pointer = false, false
end
local letter, flag = string.sub(ARGV[1], 1, 1), pointer and string.sub(pointer, -1) == 'v' and 'v' or ARGV[6]
if expires then
  redis.call('HSET', KEYS[1], 'l', ARGV[3], ARGV[1], ARGV[2] .. flag)
  if not pointer then redis.call('HINCRBY', KEYS[1], letter, 1) end
else
  expires = ARGV[8]
  redis.call('HSET', KEYS[1], 'k', ARGV[7], 'f', ARGV[3], 'x', expires, 'l', ARGV[3], ARGV[1], ARGV[2] .. flag, letter, 1)
  redis.call('EXPIRE', KEYS[1], tonumber(expires) - tonumber(ARGV[3]))
end
return expires, flag
