#!lua flags=allow-oom
-- Purpose: keep a receipt, also when memory is full: a refusal must be provable then too.
-- Uses     receipts
-- KEYS[1]  piece of receipts (list)
-- ARGV[1]  receipt   ARGV[2]  life in seconds
-- Touches  one element
-- Returns  nothing
keep_receipt(KEYS[1], ARGV[1], ARGV[2])
