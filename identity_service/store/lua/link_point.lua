#!lua
-- Purpose: link, step 2: point from the visitor to the handle, where consent and caps allow it.
-- Uses     visitor_room, stronger, point_write
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)
-- ARGV[1]  handle's name (kind and digest)   ARGV[2]  nonce   ARGV[3]  now, s   ARGV[4]  p: persistent only, a: any
-- ARGV[5]  cap of handles a kind   ARGV[6]  proof: v, t or u   ARGV[7]  kind of a new record (p: must exist)   ARGV[8]  its expiry, s
-- ARGV[9]  seconds that a persistent record outlives its consent
-- Returns  {ok, expiry s}, or what visitor_room returns
local room = visitor_room(KEYS, ARGV)
if room[1] ~= 'ok' then return room end
local expires, pointer = unpack(redis.call('HMGET', KEYS[1], 'x', ARGV[1]))
local living = pointer and tonumber(expires) > tonumber(ARGV[3])
local pointing = {unpack(ARGV)}
pointing[6] = stronger(KEYS, {ARGV[6], living and string.sub(pointer, -1)})
return {'ok', point_write(KEYS, pointing)}
