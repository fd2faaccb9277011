#!lua
-- Purpose: note under the visitor which sales name it, before they do, so that a withdrawal finds them all.
-- Uses     as_assumed, sales_room, name_sale
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)   KEYS[3]  sales (set of digests)
-- ARGV[1]  sale digest   ARGV[2]  life in seconds   ARGV[3]  most sales
-- ARGV[4]  the visitor as assumed
-- Returns  indexed, gone, full, or otherwise where the visitor is not as assumed
local gone = redis.call('GET', KEYS[2])
if not as_assumed(KEYS, {ARGV[4], gone}) then return 'otherwise' end
if gone then return 'gone' end
if not sales_room({KEYS[3]}, ARGV) then return 'full' end
name_sale({KEYS[3]}, ARGV)
return 'indexed'
