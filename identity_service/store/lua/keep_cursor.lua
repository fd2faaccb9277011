#!lua flags=allow-oom
-- Purpose: remember where the sweep of a server continues, and when it last passed all keys. It also works when memory is full, because
--          the sweep makes room.
-- KEYS[1]  sweep (hash: server -> cursor of SCAN; server and ` passed` -> time, s)
-- ARGV[1]  server   ARGV[2]  cursor   ARGV[3]  life, s   ARGV[4]  time of the last complete pass, s
-- Touches  two fields
-- Returns  nothing
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], ARGV[1] .. ' passed', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[3])
