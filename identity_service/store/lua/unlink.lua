#!lua flags=allow-oom
-- Purpose: remove a link at its handle and in its visitor's record.
-- Uses     links, rewrite
-- KEYS[1]  links (hash)   KEYS[2]  record (hash)   KEYS[3]  rewrite (hash)
-- ARGV[1]  visitor   ARGV[2]  handle's name   ARGV[3]  now, s   ARGV[4]  the link that the caller read, or empty for any
-- Touches  one link
-- Returns  1 if the link was removed, 0 if there was none or another one
if ARGV[4] ~= '' and redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[4] then return 0 end
note_rewrite(KEYS[3], ARGV[3])
return drop_link(KEYS[1], KEYS[2], ARGV[2], ARGV[1])
