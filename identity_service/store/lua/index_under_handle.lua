#!lua
-- Purpose: note under a handle that a sale is about to name it, so that an erasure finds the sale.
-- KEYS[1]  sales (set of digests)
-- ARGV[1]  sale digest   ARGV[2]  life in seconds
-- Returns  nothing
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
