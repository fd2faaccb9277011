#!lua
-- Purpose: keep the event of a claimed sale under its visitor, once, unless a withdrawal has come between: then the sale is not indexed
--          under the visitor any more, and must not name it.
-- Uses     keep_event
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)   KEYS[3]  events (list of JSON, newest first)   KEYS[4]  sales (set of digests)
-- ARGV[1..5]  as of keep_event   ARGV[6]  sale digest
-- Returns  1, or 0 where a withdrawal came between
if redis.call('EXISTS', KEYS[2]) == 1 or redis.call('SISMEMBER', KEYS[4], ARGV[6]) == 0 then return 0 end
if redis.call('LPOS', KEYS[3], ARGV[1]) then return 1 end
keep_event(KEYS, ARGV)
return 1
