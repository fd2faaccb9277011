#!lua
-- Purpose: note that a visitor came, and an opt-out that came with it; never makes a record.
-- KEYS[1]  record (hash)
-- ARGV[1]  now, s   ARGV[2]  sale/share opt-out: 1 or empty   ARGV[3]  GPC or DNT seen at, ms, or empty
-- Returns  1, or 0 where there is no record
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'l', ARGV[1])
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'w', ARGV[2]) end
if ARGV[3] ~= '' then redis.call('HSETNX', KEYS[1], 'o', ARGV[3]) end
return 1
