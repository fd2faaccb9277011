#!lua
-- Purpose: keep the event of a claimed sale under its visitor, once, unless a withdrawal has come between: then the sale is not indexed
--          under the visitor any more, and must not name it.
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)   KEYS[3]  events (list of JSON, newest first)   KEYS[4]  sales (set of digests)
-- ARGV[1]  event, JSON   ARGV[2]  most events   ARGV[3]  life in seconds   ARGV[4]  now, s
-- ARGV[5]  1: the life counts from the first event, empty: it is the ID's own end   ARGV[6]  sale digest
-- Returns  1, or 0 where a withdrawal came between
if redis.call('EXISTS', KEYS[2]) == 1 or redis.call('SISMEMBER', KEYS[4], ARGV[6]) == 0 then return 0 end
if redis.call('LPOS', KEYS[3], ARGV[1]) then return 1 end
redis.call('LPUSH', KEYS[3], ARGV[1])
redis.call('LTRIM', KEYS[3], 0, tonumber(ARGV[2]) - 1)
local life = redis.call('TTL', KEYS[3])
if life < 0 or (ARGV[5] == '' and life < tonumber(ARGV[3])) then redis.call('EXPIRE', KEYS[3], ARGV[3]) end
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'l', ARGV[4]) end
return 1
