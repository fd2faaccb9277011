#!lua flags=allow-oom
-- Purpose: note an erasure before it begins, also when memory is full, and enter it in the audit. Repair completes one that was cut off.
-- Uses     audit
-- KEYS[1]  erasures under way (sorted set, score = time in ms)   KEYS[2...]  as in keep_audit, if there is an entry
-- ARGV[1]  time, ms   ARGV[2]  note   ARGV[3...]  entry or empty, life and most, as in keep_audit
-- Touches  four elements
-- Returns  nothing
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
if ARGV[3] ~= '' then keep_audit({unpack(KEYS, 2)}, unpack(ARGV, 3)) end
