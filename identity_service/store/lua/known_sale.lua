#!lua
-- Purpose: is there a sale? It is written once more: or a repeated call would be acknowledged before replicas have what the first one
--          wrote, and a failover would lose it.
-- Uses     sales
-- KEYS[1]  sale (string)
-- Touches  one text
-- Returns  1, or 0 where there is no sale
local sale = read_sale(KEYS[1])
if not sale then return 0 end
redis.call('SETRANGE', KEYS[1], 0, sale.time)
return 1
