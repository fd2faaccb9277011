#!lua flags=allow-oom
-- Purpose: note open work for the repair, also when memory is full.
-- KEYS[1]  notes (sorted set, score = time)
-- ARGV[1]  now, ms  ARGV[2]  note
-- Returns  nothing
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
