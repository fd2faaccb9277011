#!lua flags=allow-oom
-- Purpose: note an erasure by a handle before it begins, also when memory is full, so that repair ends one that is cut off.
-- KEYS[1]  erasures (sorted set)
-- ARGV[1]  time of the erasure, ms   ARGV[2]  note
-- Touches  one element
-- Returns  nothing
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
