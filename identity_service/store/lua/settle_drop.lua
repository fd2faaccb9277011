#!lua flags=allow-oom
-- Purpose: settle, step c: drop a pointer that its handle no longer backs; under an erasure mark a visitor gone that it alone held.
-- KEYS[1]  record (hash)   KEYS[2]  gone (string, ms)
-- ARGV[1]  handle's name   ARGV[2]  the pointer as read in step a   ARGV[3]  1 under an erasure, else empty
-- ARGV[4]  now, ms         ARGV[5]  life of a gone mark, s
-- Returns  kept, dropped or whole (now gone)
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 'kept' end
local letter = string.sub(ARGV[1], 1, 1)
redis.call('HDEL', KEYS[1], ARGV[1])
local same = redis.call('HINCRBY', KEYS[1], letter, -1)
local other = tonumber(redis.call('HGET', KEYS[1], letter == 'e' and 'c' or 'e') or 0)
if ARGV[3] == '' or same > 0 or other > 1 then return 'dropped' end
redis.call('SET', KEYS[2], ARGV[4], 'EX', ARGV[5])
return 'whole'
