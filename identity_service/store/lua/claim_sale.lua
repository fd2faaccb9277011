#!lua
-- Purpose: a sale ID counts once: the first call stores, later ones read what it stored.
-- Uses     known_sale
-- KEYS[1]  sale (hash)
-- ARGV[1]  life in seconds   ARGV[2...]  pairs of field and value
-- Returns  {1} for the first call, else {0, the stored fields and values}
local stored = known_sale(KEYS)
if #stored > 0 then return {0, stored} end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return {1}
