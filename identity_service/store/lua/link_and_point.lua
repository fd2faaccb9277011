#!lua
-- Purpose: write a link at its handle and the pointer in its visitor's record, where there is room for both; they tell the same proof.
-- Uses     link_proof, point_write, link_write
-- KEYS[1]  links (hash)   KEYS[2...]  as of link
-- ARGV     as of link
-- Returns  nothing
local pointing = {unpack(ARGV, 7, 15)}
pointing[6] = link_proof(KEYS, {ARGV[2], ARGV[3], ARGV[5]})
link_write({KEYS[1]}, {ARGV[2], ARGV[3], point_write({KEYS[4]}, pointing), ARGV[16], ARGV[5]})
