#!lua
-- Purpose: link a visitor to a handle. Links that have to give way are removed in the same step.
-- Uses     marks, links, room
-- KEYS[1]  links (hash)   KEYS[2]  record (hash)   KEYS[3]  gone (string)
-- KEYS[4...]  for each link that gives way: the record of its visitor, or the links of its handle
-- ARGV     as in asked_link; then the links that give way, as an earlier call returned them, three texts each
-- Touches  all links of the handle if it holds 100, all pointers of the visitor if it is full; 33 links that give way
-- Returns  {ok, 1 if the handle is crowded, or 0}, or the answer of obstacle: then nothing is written
local new, given = asked_link(ARGV, 1)
local at = {links = KEYS[1], record = KEYS[2], gone = KEYS[3]}
local answer = obstacle(at, new, given)
if answer then return answer end
give_way(at, new, given, {unpack(KEYS, 4)})
write_link(at, new)
return {'ok', at.crowded and 1 or 0}
