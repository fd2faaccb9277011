#!lua flags=allow-oom
-- Purpose: remember where the sweep of a server continues. It also works when memory is full, because the sweep makes room.
-- KEYS[1]  sweep (hash: server -> cursor of SCAN)
-- ARGV[1]  server   ARGV[2]  cursor   ARGV[3]  life, s
-- Touches  one field
-- Returns  nothing
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
