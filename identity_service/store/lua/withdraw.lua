#!lua flags=allow-oom
-- Purpose: withdraw or erase a visitor: everything that it holds goes, and a mark stays.
-- Uses     links, removal
-- KEYS[1]  rewrite (hash)   KEYS[2...]  as of held_of
-- ARGV[1]  visitor   ARGV[2]  time, ms   ARGV[3]  now, s   ARGV[4]  life of the mark, s
-- ARGV[5]  now: in any case   unless newer: where no newer mark or grant stands
-- ARGV[6]  number of handles   ARGV[7...]  names of handles, then digests of sales
-- Touches  all handles and sales of the visitor
-- Returns  {done, 1 where there was a record, links, events}, {stands}, or {otherwise} where more is held than was declared
local last = 6 + tonumber(ARGV[6])
local held = held_of({unpack(KEYS, 2)}, ARGV[1], {unpack(ARGV, 7, last)}, {unpack(ARGV, last + 1)})
local at, marked, granted = tonumber(ARGV[2]), redis.call('GET', held.gone), redis.call('HGET', held.record, 'g')
if ARGV[5] == 'unless newer' and (tonumber(marked or 0) > at or tonumber(granted or 0) > at) then return {'stands'} end
local orders = own_orders(held)
if not orders then return {'otherwise'} end
note_rewrite(KEYS[1], ARGV[3])
return {'done', unpack(take_all(held, orders, at, tonumber(ARGV[4])))}
