#!lua
-- Purpose: link in one step, where one server holds both slots: nothing can come between, and a crash leaves nothing open.
-- Uses     link_room, link_and_point
-- KEYS[1]  links (hash)   KEYS[2]  intents (hash)   KEYS[3]  removals (hash)   KEYS[4]  record (hash)   KEYS[5]  gone (string)
-- ARGV[1..6]  as of handle_room: nonce, visitor, now ...   ARGV[7..15]  as of link_point   ARGV[16]  source letter
-- Returns  what link_room returns; nothing is written unless that is ok
local room = link_room(KEYS, ARGV)
if room[1] == 'ok' then link_and_point(KEYS, ARGV) end
return room
