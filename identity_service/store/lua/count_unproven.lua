#!lua
-- Purpose: count a visitor's links without proof beside all of its links, as their proof changes. A record of before this was counted may
--          hold links that are not: the number never falls below zero, and so never makes too few links proven ones.
-- KEYS[1]  record (hash)
-- ARGV[1]  letter of the handle's kind: e or c   ARGV[2]  proof before, false for no link   ARGV[3]  proof after, false for none
-- Returns  nothing
local field, before, after = ARGV[1] == 'e' and 'i' or 'j', ARGV[2] == 'u', ARGV[3] == 'u'
if before == after then return end
if before and tonumber(redis.call('HGET', KEYS[1], field) or 0) <= 0 then return end
redis.call('HINCRBY', KEYS[1], field, after and 1 or -1)
