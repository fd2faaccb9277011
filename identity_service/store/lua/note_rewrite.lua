#!lua flags=allow-oom
-- Purpose: note that the append-only file holds what was, or will be, destroyed at a time.
-- KEYS[1]  rewrite (hash: time of destruction, s -> how often noted)
-- ARGV[1]  time of the destruction, s
-- Returns  nothing
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
