#!lua
-- Purpose: put a receipt before the earlier ones of its visitor: a newer one takes its place in the record.
-- KEYS[1]  earlier receipts (list of IDs, newest first)
-- ARGV[1]  receipt ID   ARGV[2]  life in seconds
-- Returns  nothing
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, 98)
redis.call('EXPIRE', KEYS[1], ARGV[2])
