#!lua
-- Purpose: link, step 2: point from the visitor to the handle, where consent and caps allow it.
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)
-- ARGV[1]  handle's name (kind and digest)   ARGV[2]  nonce   ARGV[3]  now, s   ARGV[4]  p: persistent only, a: any
-- ARGV[5]  cap of handles a kind   ARGV[6]  v or u   ARGV[7]  kind of a new record (p: must exist)   ARGV[8]  its expiry, s
-- ARGV[9]  seconds that a persistent record outlives its consent
-- Returns  {ok, expiry s}, {gone}, {refused}, {full, visitor}, or {yield, visitor, handle} for one that has to be unlinked first
if redis.call('EXISTS', KEYS[2]) == 1 then return {'gone'} end
local kind, expires, linking = unpack(redis.call('HMGET', KEYS[1], 'k', 'x', 'n'))
if expires and tonumber(expires) <= tonumber(ARGV[3]) then
  redis.call('DEL', KEYS[1])
  kind, expires, linking = false, false, false
end
if kind == 'p' and tonumber(expires) - tonumber(ARGV[9]) <= tonumber(ARGV[3]) then return {'gone'} end
if linking == 'refused' or (ARGV[4] == 'p' and kind ~= 'p') then return {'refused'} end
if not kind and ARGV[7] == 'p' then return {'gone'} end
local pointer = redis.call('HGET', KEYS[1], ARGV[1])
local letter = string.sub(ARGV[1], 1, 1)
local held = tonumber(redis.call('HGET', KEYS[1], letter) or 0)
local room = tonumber(ARGV[5])
if ARGV[6] == 'u' then room = math.floor(room / 2) end
if not pointer and held >= room then
  local stored = redis.call('HGETALL', KEYS[1])
  for i = 1, #stored, 2 do
    local unverified = #stored[i] == #ARGV[1] and string.sub(stored[i], 1, 1) == letter and string.sub(stored[i + 1], -1) == 'u'
    if unverified and ARGV[6] == 'v' then return {'yield', 'visitor', stored[i]} end
  end
  return {'full', 'visitor'}
end
if not kind then
  expires = ARGV[8]
  redis.call('HSET', KEYS[1], 'k', ARGV[7], 'f', ARGV[3], 'x', expires)
  redis.call('EXPIRE', KEYS[1], tonumber(expires) - tonumber(ARGV[3]))
end
if not pointer then redis.call('HINCRBY', KEYS[1], letter, 1) end
local flag = pointer and string.sub(pointer, -1) == 'v' and 'v' or ARGV[6]
redis.call('HSET', KEYS[1], 'l', ARGV[3], ARGV[1], ARGV[2] .. flag)
return {'ok', expires}
