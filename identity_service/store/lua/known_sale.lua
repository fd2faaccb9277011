#!lua
-- Purpose: what an earlier call with a sale ID stored, written once more: or a repeated call would be acknowledged before replicas have what
--          the first one wrote, and a failover would lose it.
-- KEYS[1]  sale (hash)
-- Returns  the stored fields and values, none where there is no sale
local stored = redis.call('HGETALL', KEYS[1])
if #stored > 0 then redis.call('HSET', KEYS[1], stored[1], stored[2]) end
return stored
