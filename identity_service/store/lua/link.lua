#!lua
-- Purpose: link in one step, where one server holds both slots: nothing can come between, and a crash leaves nothing open.
-- Uses     handle_room, visitor_room, point_write, link_write
-- KEYS[1]  links (hash)   KEYS[2]  intents (hash)   KEYS[3]  removals (hash)   KEYS[4]  record (hash)   KEYS[5]  gone (string)
-- ARGV[1..6]  as of handle_room: nonce, visitor, now ...   ARGV[7..15]  as of link_point   ARGV[16]  source letter
-- Returns  {ok}, or what handle_room or visitor_room returns; then nothing is written. Nobody yields to a link that would be refused.
local record, pointing = {KEYS[4], KEYS[5]}, {unpack(ARGV, 7, 15)}
local of_visitor, of_handle = visitor_room(record, pointing), handle_room({KEYS[1], KEYS[2], KEYS[3]}, ARGV)
if of_visitor[1] ~= 'ok' and of_visitor[1] ~= 'yield' then return of_visitor end
if of_handle[1] == 'full' then return of_handle end
if of_visitor[1] == 'yield' then return of_visitor end
if of_handle[1] == 'yield' then return of_handle end
local pointed = point_write(record, pointing)
local flag = link_write({KEYS[1]}, {ARGV[2], ARGV[3], pointed[2], ARGV[16], ARGV[5]})
redis.call('HSET', KEYS[4], ARGV[7], ARGV[1] .. flag) -- the pointer says what the link says
return {'ok'}
