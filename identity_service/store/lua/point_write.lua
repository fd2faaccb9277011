#!lua
-- Purpose: write a pointer in a visitor's record, and the record where there is none that lives.
-- KEYS[1]  record (hash)
-- ARGV     as of link_point
-- Returns  {ok, expiry s}
local expires = redis.call('HGET', KEYS[1], 'x')
if expires and tonumber(expires) <= tonumber(ARGV[3]) then
  redis.call('DEL', KEYS[1])
  expires = false
end
if not expires then
  expires = ARGV[8]
  redis.call('HSET', KEYS[1], 'k', ARGV[7], 'f', ARGV[3], 'x', expires)
  redis.call('EXPIRE', KEYS[1], tonumber(expires) - tonumber(ARGV[3]))
end
local pointer = redis.call('HGET', KEYS[1], ARGV[1])
if not pointer then redis.call('HINCRBY', KEYS[1], string.sub(ARGV[1], 1, 1), 1) end
local flag = pointer and string.sub(pointer, -1) == 'v' and 'v' or ARGV[6]
redis.call('HSET', KEYS[1], 'l', ARGV[3], ARGV[1], ARGV[2] .. flag)
return {'ok', expires}
