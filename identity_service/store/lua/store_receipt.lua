#!lua flags=allow-oom
-- Purpose: keep a receipt, also when memory is full, because a refusal must stay provable.
-- Uses     receipts
-- KEYS[1]  piece of receipts (list)
-- ARGV[1]  receipt   ARGV[2]  life, s
-- Touches  one element
-- Returns  nothing
keep_receipt(KEYS[1], ARGV[1], ARGV[2])
