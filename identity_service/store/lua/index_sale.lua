#!lua
-- Purpose: note under the visitor which sales name it, before they do, so that a withdrawal finds them all.
-- KEYS[1]  gone (string)   KEYS[2]  sales (set of digests)
-- ARGV[1]  sale digest   ARGV[2]  life in seconds   ARGV[3]  most sales
-- Returns  1, or 0 where the visitor is gone or holds too many
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local known = redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1
if not known and redis.call('SCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 0 end
redis.call('SADD', KEYS[2], ARGV[1])
if redis.call('TTL', KEYS[2]) < tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[2], ARGV[2]) end
return 1
