#!lua
-- Purpose: is there a sale? It is written once more: or a repeated call would be acknowledged before replicas have what the first one
--          wrote, and a failover would lose it.
-- KEYS[1]  sale (hash)
-- Touches  one field
-- Returns  1, or 0 where there is no sale
local time = redis.call('HGET', KEYS[1], 'time')
if not time then return 0 end
redis.call('HSET', KEYS[1], 'time', time)
return 1
