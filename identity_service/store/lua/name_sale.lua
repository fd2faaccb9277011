#!lua
-- Purpose: note under a handle, or under a visitor, that a sale names it.
-- KEYS[1]  sales (set of digests)
-- ARGV[1]  sale digest   ARGV[2]  life in seconds
-- Returns  nothing
redis.call('SADD', KEYS[1], ARGV[1])
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
