#!lua flags=allow-oom
-- Purpose: choose one worker a minute, which sweeps. It also works when memory is full.
-- KEYS[1]  lock (string)
-- ARGV[1]  nonce   ARGV[2]  life, ms
-- Touches  one key
-- Returns  1 for the worker whose turn it is, else 0
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
