#!lua flags=allow-oom
-- Purpose: keep a receipt, also when memory is full, because a refusal must stay provable.
-- Uses     receipts
-- KEYS[1]  piece of receipts (list)   if it names a visitor: KEYS[2]  record (hash)   KEYS[3]  earlier receipts (list)
-- ARGV[1]  receipt   ARGV[2]  life, s   ARGV[3]  its ID
-- Touches  two elements
-- Returns  nothing
keep_receipt(KEYS[1], ARGV[1], ARGV[2])
if KEYS[2] and redis.call('HEXISTS', KEYS[2], 'r') == 1 then list_receipt(KEYS[3], ARGV[3], redis.call('TTL', KEYS[2])) end
