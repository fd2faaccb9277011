#!lua flags=allow-oom
-- Purpose: the part of an erasure by a handle for one visitor. If this handle alone holds the visitor by proof, the visitor is removed.
--          Otherwise only the link is removed.
-- Uses     marks, links, sales, receipts, removals, removal, rewrite
-- KEYS[1]  rewrite (hash)   KEYS[2...]  as in held_of; the handle is the first
-- ARGV[1]  visitor   ARGV[2]  time of the erasure, ms   ARGV[3]  life of the mark, s
-- ARGV[4]  1: also remove visitors that the handle holds without proof, if no handle holds them by proof; else empty
-- ARGV[5]  digest for the list of removals, or empty   ARGV[6]  number of handles   ARGV[7...]  names of handles, then digests of sales
-- Touches  all handles and sales of the visitor
-- Returns  {done, 1 if a record was removed, links, events}, {stands} if the link is newer than the erasure, or {otherwise} as in withdraw
local last = 6 + tonumber(ARGV[6])
local name, held = ARGV[7], held_of({unpack(KEYS, 2)}, ARGV[1], {unpack(ARGV, 7, last)}, {unpack(ARGV, last + 1)})
local links, erased_at = held.handles[name], tonumber(ARGV[2])
local link = read_link(redis.call('HGET', links, held.visitor))
if link and link.last * 1000 > erased_at then return {'stands'} end
local orders = own_orders(held)
if not orders then return {'otherwise'} end
local found = redis.call('HMGET', held.record, 'e', 'c', 'i', 'j', 'g', 'k', name)
local emails, customers, unproven, unproven_customers, granted, kind, pointer = unpack(found)
local proven = (emails or 0) + (customers or 0) - (unproven or 0) - (unproven_customers or 0)
local by_proof = pointer and pointer ~= 'u'
note_rewrite(KEYS[1], math.floor(erased_at / 1000))
if not pointer or (not by_proof and ARGV[4] == '') or tonumber(granted or 0) > erased_at or proven > (by_proof and 1 or 0) then
  if by_proof and proven > 1 then redis.call('HSET', held.record, 'm', 1) end -- what it did may be the erased person's
  return {'done', 0, drop_link(links, held.record, name, held.visitor), 0}
end
local stood = {marked = redis.call('GET', held.gone), granted = granted, kind = kind, removed_as = ARGV[5]}
stood.removed_at = math.floor(erased_at / 1000)
return {'done', unpack(take_all(held, orders, erased_at, tonumber(ARGV[3]), stood, ''))}
