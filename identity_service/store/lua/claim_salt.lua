#!lua
-- Purpose: return the one salt of a shop's window. The first caller makes it, and notes when the append-only file must forget it.
-- Uses     rewrite
-- KEYS[1]  salt (string)   KEYS[2]  rewrite (hash)
-- ARGV[1]  proposed salt, base64url
-- ARGV[2]  life, s   ARGV[3]  its end, s since 1970
-- Touches  two keys
-- Returns  the salt in force
local salt = redis.call('GET', KEYS[1])
if salt then return salt end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
note_rewrite(KEYS[2], ARGV[3])
return ARGV[1]
