#!lua
-- Purpose: put a sale in place of what was read of it, unless it has changed.
-- KEYS[1]  sale (string)
-- ARGV[1]  as it was read   ARGV[2]  as it is to be
-- Touches  one key
-- Returns  1, or 0 where it has changed
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
