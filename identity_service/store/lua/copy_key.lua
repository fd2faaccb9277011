#!lua
-- Purpose: for a move, write a whole key with its expiry, unless the key exists.
-- KEYS[1]  key
-- ARGV[1]  expiry, ms since 1970, or -1   ARGV[2]  SET, HSET, RPUSH, SADD or ZADD   ARGV[3...]  arguments of that command after the key
-- Touches  all elements of one key
-- Returns  nothing
if redis.call('EXISTS', KEYS[1]) == 1 then return end
for i = 3, #ARGV, 1000 do
  redis.call(ARGV[2], KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
if ARGV[1] ~= '-1' then redis.call('PEXPIREAT', KEYS[1], ARGV[1]) end
