#!lua
-- Purpose: grant in one step, where one server holds all keys: the receipt, and what it proves.
-- Uses     store_receipt, grant_visitor
-- KEYS[1]  receipt (string, JSON)   KEYS[2...]  as of grant_visitor
-- ARGV[1..2]  as of store_receipt   ARGV[3...]  as of grant_visitor
-- Returns  what grant_visitor returns; the receipt of the choice is kept all the same
store_receipt(KEYS, ARGV)
return grant_visitor({unpack(KEYS, 2)}, {unpack(ARGV, 3)})
