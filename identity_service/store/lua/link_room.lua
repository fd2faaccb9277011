#!lua flags=no-writes
-- Purpose: is there room for a link at its handle and at its visitor, where one server holds both?
-- Uses     handle_room, visitor_room
-- KEYS[1]  links (hash)   KEYS[2...]  as of link
-- ARGV     as of link
-- Returns  {ok}, or what handle_room or visitor_room returns. Nobody yields to a link that would be refused.
local of_visitor = visitor_room({KEYS[4], KEYS[5]}, {unpack(ARGV, 7, 15)})
local of_handle = handle_room({KEYS[1], KEYS[2], KEYS[3]}, ARGV)
if of_visitor[1] ~= 'ok' and of_visitor[1] ~= 'yield' then return of_visitor end
if of_handle[1] == 'full' then return of_handle end
if of_visitor[1] == 'yield' then return of_visitor end
return of_handle
