#!lua
-- Purpose: the one salt of a shop's window, made by whoever comes first.
-- KEYS[1]  salt (string)
-- ARGV[1]  proposed salt, base64url
-- ARGV[2]  life in seconds
-- Returns  the salt in force
local salt = redis.call('GET', KEYS[1])
if salt then return salt end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return ARGV[1]
