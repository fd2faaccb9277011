#!lua
-- Purpose: say whether a sale exists, and write its time once more. Without this write, a repeated call could be acknowledged before
--          replicas have the sale, and a failover would lose it.
-- Uses     sales
-- KEYS[1]  sale (string)
-- Touches  one text
-- Returns  1, or 0 if there is no sale
local sale = read_sale(KEYS[1])
if not sale then return 0 end
redis.call('SETRANGE', KEYS[1], 0, sale.time)
return 1
