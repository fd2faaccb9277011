#!lua flags=allow-oom
-- Purpose: note that the append-only file holds what was destroyed, and since when.
-- KEYS[1]  rewrite (hash: first, last)
-- ARGV[1]  time of the destruction, s
-- Returns  nothing
redis.call('HSETNX', KEYS[1], 'first', ARGV[1])
local last = tonumber(redis.call('HGET', KEYS[1], 'last') or 0)
redis.call('HSET', KEYS[1], 'last', math.max(last, tonumber(ARGV[1])))
