#!lua
-- Purpose: write a pointer in a visitor's record, and the record where there is none that lives.
-- Uses     count_unproven
-- KEYS[1]  record (hash)
-- ARGV     as of link_point; its proof is the pointer's from now on
-- Returns  expiry s
local letter, expires, pointer = string.sub(ARGV[1], 1, 1), unpack(redis.call('HMGET', KEYS[1], 'x', ARGV[1]))
if expires and tonumber(expires) <= tonumber(ARGV[3]) then
  redis.call('DEL', KEYS[1])
  expires, pointer = false, false
end
if expires then
  redis.call('HSET', KEYS[1], 'l', ARGV[3], ARGV[1], ARGV[2] .. ARGV[6])
  if not pointer then redis.call('HINCRBY', KEYS[1], letter, 1) end
else
  expires = ARGV[8]
  redis.call('HSET', KEYS[1], 'k', ARGV[7], 'f', ARGV[3], 'x', expires, 'l', ARGV[3], ARGV[1], ARGV[2] .. ARGV[6], letter, 1)
  redis.call('EXPIRE', KEYS[1], tonumber(expires) - tonumber(ARGV[3]))
end
count_unproven(KEYS, {letter, pointer and string.sub(pointer, -1), ARGV[6]})
return expires
