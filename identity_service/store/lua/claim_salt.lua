#!lua
-- Purpose: the one salt of a shop's window, made by whoever comes first; that the append-only file holds it is noted for when it has ended.
-- Uses     rewrite
-- KEYS[1]  salt (string)   KEYS[2]  rewrite (hash)
-- ARGV[1]  proposed salt, base64url
-- ARGV[2]  life in seconds   ARGV[3]  when it will have ended, s
-- Touches  two keys
-- Returns  the salt in force
local salt = redis.call('GET', KEYS[1])
if salt then return salt end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
note_rewrite(KEYS[2], ARGV[3])
return ARGV[1]
