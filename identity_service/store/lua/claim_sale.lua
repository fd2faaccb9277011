#!lua
-- Purpose: a sale ID counts once: the first call stores, later ones read what it stored.
-- Uses     known_sale, write_sale
-- KEYS[1]  sale (hash)
-- ARGV     as of write_sale
-- Returns  {1} for the first call, else {0, the stored fields and values}
local stored = known_sale(KEYS)
if #stored > 0 then return {0, stored} end
write_sale(KEYS, ARGV)
return {1}
