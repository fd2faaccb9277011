#!lua flags=no-writes
-- Purpose: may a visitor point to a handle? By its consent, and by the cap of its handles; those without proof yield to those
--          by token, and these to those by key.
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)
-- ARGV     as of link_point
-- Returns  {ok}, {gone}, {refused}, {full, visitor}, or {yield, visitor, handle, proof} for one that has to be unlinked first
if redis.call('EXISTS', KEYS[2]) == 1 then return {'gone'} end
local letter, room = string.sub(ARGV[1], 1, 1), tonumber(ARGV[5])
local kind, expires, linking, pointer, held = unpack(redis.call('HMGET', KEYS[1], 'k', 'x', 'n', ARGV[1], letter))
local ended = expires and tonumber(expires) <= tonumber(ARGV[3])
if ended then kind, linking, pointer, held = false, false, false, false end
if kind == 'p' and tonumber(expires) - tonumber(ARGV[9]) <= tonumber(ARGV[3]) then return {'gone'} end
if linking == 'refused' or (ARGV[4] == 'p' and kind ~= 'p') then return {'refused'} end
if not kind and ARGV[7] == 'p' then return {'gone'} end
if ARGV[6] ~= 'v' then room = math.floor(room / 2) end
if pointer or tonumber(held or 0) < room then return {'ok'} end
local rank = {v = 3, t = 2, u = 1}
local stored, weakest, lowest = ended and {} or redis.call('HGETALL', KEYS[1]), nil, ARGV[6]
for i = 1, #stored, 2 do
  local flag = #stored[i] == #ARGV[1] and string.sub(stored[i], 1, 1) == letter and string.sub(stored[i + 1], -1)
  if flag and rank[flag] < rank[lowest] then weakest, lowest = stored[i], flag end
end
return weakest and {'yield', 'visitor', weakest, lowest} or {'full', 'visitor'}
