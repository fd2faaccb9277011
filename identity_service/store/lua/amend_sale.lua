#!lua
-- Purpose: replace a sale, unless it has changed since the caller read it.
-- KEYS[1]  sale (string)
-- ARGV[1]  the sale that the caller read   ARGV[2]  the new sale
-- Touches  one key
-- Returns  1, or 0 if the sale has changed
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
