#!lua
-- Purpose: note under a handle that a sale is about to name it, so that an erasure finds the sale.
-- Uses     sales_room, name_sale
-- KEYS[1]  sales (set of digests)
-- ARGV[1]  sale digest   ARGV[2]  life in seconds   ARGV[3]  most sales
-- Returns  indexed, or full: it is indexed all the same, until the sale does not name the handle any more
local room = sales_room(KEYS, ARGV)
name_sale(KEYS, ARGV)
return room and 'indexed' or 'full'
