#!lua
-- Purpose: link a visitor to a handle, in place of those who give way.
-- Uses     marks, links, room
-- KEYS[1]  links (hash)   KEYS[2]  record (hash)   KEYS[3]  gone (string)
-- KEYS[4...]  of each that gives way: the record of a visitor, or the links of a handle
-- ARGV     as of asked_link; then who gives way, as an earlier call was told, three texts each
-- Touches  all links of the handle and all pointers of the visitor where either is full; 33 that give way
-- Returns  {ok}, or what obstacle returns, when nothing is written
local new, given = asked_link(ARGV, 1)
local at = {links = KEYS[1], record = KEYS[2], gone = KEYS[3]}
local answer = obstacle(at, new, given)
if answer then return answer end
give_way(at, new, given, {unpack(KEYS, 4)})
write_link(at, new)
return {'ok'}
