#!lua flags=allow-oom
-- Purpose: end a session of the admin pages, also when memory is full, and enter that in the audit.
-- Uses     audit
-- KEYS[1]  sessions (hash)   KEYS[2...]  as in keep_audit
-- ARGV[1]  session's ID   ARGV[2...]  entry, life and most, as in keep_audit
-- Touches  four elements
-- Returns  1, or 0 if there was no such session; then nothing is entered
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
keep_audit({unpack(KEYS, 2)}, unpack(ARGV, 2))
return 1
