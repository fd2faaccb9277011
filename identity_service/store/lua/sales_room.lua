#!lua flags=no-writes
-- Purpose: is there room under a handle for a sale that names it?
-- KEYS[1]  sales (set of digests)
-- ARGV     as of index_under_handle
-- Returns  true or false
return redis.call('SCARD', KEYS[1]) < tonumber(ARGV[3]) or redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1
