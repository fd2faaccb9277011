#!lua
-- Purpose: note that a sale's links are done, so that a duplicate has nothing to resume; never makes a sale.
-- KEYS[1]  sale (hash)
-- Returns  1, or 0 where there is no sale
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'linked', '1')
return 1
