#!lua flags=allow-oom
-- Purpose: keep an entry of the audit, before what it is about is answered, also when memory is full.
-- Uses     audit
-- KEYS[1]  entries of the day (list)   for an entry about a person: KEYS[2]  newest entries about that person (list)
-- ARGV[1]  entry   ARGV[2]  its life, s   ARGV[3]  most entries of a day
-- Touches  three elements
-- Returns  1, or 0 if the day is full
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
keep_audit(KEYS, ARGV[1], ARGV[2])
return 1
