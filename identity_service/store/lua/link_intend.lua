#!lua
-- Purpose: link, step 1: announce a link at its handle, where there is room.
-- Uses     handle_room
-- KEYS[1]  links (hash)   KEYS[2]  intents (hash nonce -> "time visitor")   KEYS[3]  removals (hash)
-- ARGV     as of handle_room
-- Returns  what handle_room returns
local room = handle_room(KEYS, ARGV)
if room[1] ~= 'ok' then return room end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3] .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[2], 604800)
return room
