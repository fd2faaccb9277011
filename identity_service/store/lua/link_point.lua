#!lua
-- Purpose: link, step 2: point from the visitor to the handle, where consent and caps allow it.
-- Uses     visitor_room
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)
-- ARGV[1]  handle's name (kind and digest)   ARGV[2]  nonce   ARGV[3]  now, s   ARGV[4]  p: persistent only, a: any
-- ARGV[5]  cap of handles a kind   ARGV[6]  v or u   ARGV[7]  kind of a new record (p: must exist)   ARGV[8]  its expiry, s
-- ARGV[9]  seconds that a persistent record outlives its consent
-- Returns  {ok, expiry s}, or what visitor_room returns
local room = visitor_room(KEYS, ARGV)
if room[1] ~= 'ok' then return room end
local expires = redis.call('HGET', KEYS[1], 'x')
if expires and tonumber(expires) <= tonumber(ARGV[3]) then
  redis.call('DEL', KEYS[1])
  expires = false
end
if not expires then
  expires = ARGV[8]
  redis.call('HSET', KEYS[1], 'k', ARGV[7], 'f', ARGV[3], 'x', expires)
  redis.call('EXPIRE', KEYS[1], tonumber(expires) - tonumber(ARGV[3]))
end
local pointer = redis.call('HGET', KEYS[1], ARGV[1])
if not pointer then redis.call('HINCRBY', KEYS[1], string.sub(ARGV[1], 1, 1), 1) end
local flag = pointer and string.sub(pointer, -1) == 'v' and 'v' or ARGV[6]
redis.call('HSET', KEYS[1], 'l', ARGV[3], ARGV[1], ARGV[2] .. flag)
return {'ok', expires}
