#!lua flags=allow-oom
-- Purpose: withdraw or erase a visitor: remove everything that it holds, leave a mark, and keep the receipt that proves why.
-- Uses     marks, links, sales, receipts, removals, removal, rewrite, audit
-- KEYS[1]  rewrite (hash)   KEYS[2]  piece of receipts (list)   KEYS[3...]  as in keep_audit, if there is an entry; then as in held_of
-- ARGV[1]  visitor   ARGV[2]  time, ms   ARGV[3]  life of the mark, s   ARGV[4]  receipt, or empty   ARGV[5]  its life, s
-- ARGV[6]  its ID, or empty   ARGV[7]  how many IDs of receipts the mark keeps: 0 for an erasure
-- ARGV[8]  now: in any case   unless newer: only if no newer mark or grant is stored
-- ARGV[9]  minute of the refusal cookie, or empty, as in awaited_with   ARGV[10]  digest for the list of removals, or empty
-- ARGV[11] time of the choice, ms, which the mark gets
-- ARGV[12] number of keys of the audit   ARGV[13...15]  entry or empty, life and most, as in keep_audit
-- ARGV[16] number of handles   ARGV[17...]  names of handles, then digests of sales
-- Touches  all handles and sales of the visitor
-- Returns  {done, 1 if there was a record, links, events}, {stands} if something newer is stored, or {otherwise} if the visitor holds more
--          than the caller declared
local audit, last = {unpack(KEYS, 3, 2 + tonumber(ARGV[12]))}, 16 + tonumber(ARGV[16])
local held = held_of({unpack(KEYS, 3 + #audit)}, ARGV[1], {unpack(ARGV, 17, last)}, {unpack(ARGV, last + 1)})
local withdrawn_at, stood = tonumber(ARGV[2]), {marked = redis.call('GET', held.gone), removed_as = ARGV[10]}
stood.removed_at = math.floor(withdrawn_at / 1000)
stood.kind, stood.granted = unpack(redis.call('HMGET', held.record, 'k', 'g'))
stood.awaited = awaited_with(stood.marked, withdrawn_at, ARGV[9])
local newer = (marked_at(stood.marked) or 0) > withdrawn_at or tonumber(stood.granted or 0) > withdrawn_at
if ARGV[8] == 'unless newer' and newer then return {'stands'} end
local orders = own_orders(held)
if not orders then return {'otherwise'} end
if ARGV[4] ~= '' then keep_receipt(KEYS[2], ARGV[4], ARGV[5]) end
note_rewrite(KEYS[1], math.floor(withdrawn_at / 1000))
if #audit > 0 then keep_audit(audit, unpack(ARGV, 13, 15)) end
local kept = kept_receipts(held.record, held.receipts, stood.marked, ARGV[6], tonumber(ARGV[7]))
return {'done', unpack(take_all(held, orders, tonumber(ARGV[11]), tonumber(ARGV[3]), stood, kept))}
