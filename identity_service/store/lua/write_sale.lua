#!lua
-- Purpose: store a sale.
-- KEYS[1]  sale (hash)
-- ARGV[1]  life in seconds   ARGV[2...]  pairs of field and value
-- Returns  nothing
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
