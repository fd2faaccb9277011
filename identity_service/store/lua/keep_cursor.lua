#!lua flags=allow-oom
-- Purpose: remember how far the sweep has come on a server, also when memory is full: what it takes away makes room.
-- KEYS[1]  sweep (hash: server -> cursor of SCAN)
-- ARGV[1]  server   ARGV[2]  cursor   ARGV[3]  life in seconds
-- Touches  one field
-- Returns  nothing
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
