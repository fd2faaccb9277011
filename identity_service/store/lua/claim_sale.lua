#!lua
-- Purpose: a sale ID counts once: the first call stores, later ones read what it stored.
-- KEYS[1]  sale (hash)
-- ARGV[1]  life in seconds   ARGV[2...]  pairs of field and value
-- Returns  {1} for the first call, else {0, the stored fields and values}
if redis.call('EXISTS', KEYS[1]) == 1 then return {0, redis.call('HGETALL', KEYS[1])} end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return {1}
