#!lua flags=allow-oom
-- Purpose: keep a receipt, also when memory is full: a refusal must be provable then too.
-- KEYS[1]  receipt (string, JSON)
-- ARGV[1]  receipt   ARGV[2]  life in seconds
-- Touches  one key
-- Returns  nothing
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
