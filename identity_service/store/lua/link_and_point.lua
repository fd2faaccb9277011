#!lua
-- Purpose: write a link at its handle and the pointer in its visitor's record, where there is room for both.
-- Uses     point_write, link_write
-- KEYS[1]  links (hash)   KEYS[2...]  as of link
-- ARGV     as of link
-- Returns  nothing
local expires, pointed = point_write({KEYS[4]}, {unpack(ARGV, 7, 15)})
local flag = link_write({KEYS[1]}, {ARGV[2], ARGV[3], expires, ARGV[16], ARGV[5]})
if pointed ~= flag then redis.call('HSET', KEYS[4], ARGV[7], ARGV[1] .. flag) end -- the pointer says what the link says
