#!lua flags=no-writes
-- Purpose: is there room under a handle, or under a visitor, for a sale that names it?
-- KEYS[1]  sales (set of digests)
-- ARGV[1]  sale digest   ARGV[3]  most sales
-- Returns  true or false
return redis.call('SCARD', KEYS[1]) < tonumber(ARGV[3]) or redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1
