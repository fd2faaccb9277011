#!lua flags=allow-oom
-- Purpose: note an erasure before it begins, also when memory is full. Repair completes one that was cut off.
-- KEYS[1]  erasures under way (sorted set, score = time in ms)
-- ARGV[1]  time, ms   ARGV[2]  note
-- Touches  one element
-- Returns  nothing
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
