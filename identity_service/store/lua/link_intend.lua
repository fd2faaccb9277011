#!lua
-- Purpose: link, step 1: announce a link at its handle, where there is room.
-- KEYS[1]  links (hash)   KEYS[2]  intents (hash nonce -> "time visitor")   KEYS[3]  removals (hash)
-- ARGV[1]  nonce   ARGV[2]  visitor   ARGV[3]  now, s   ARGV[4]  cap of visitors   ARGV[5]  v or u (verified or not)
-- ARGV[6]  most removals that may wait before new visitors are refused
-- Returns  {ok}, {full, handle}, or {yield, handle, visitor} for one that has to be unlinked first
local known = redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1
local held = redis.call('HLEN', KEYS[1]) + redis.call('HLEN', KEYS[2])
local room = tonumber(ARGV[4])
if not known and redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[6]) then return {'full', 'handle'} end
if ARGV[5] == 'u' then room = math.floor(room / 2) end
if not known and held >= room then
  local now, victim, oldest = tonumber(ARGV[3]), false, math.huge
  local stored = redis.call('HGETALL', KEYS[1])
  for i = 1, #stored, 2 do
    local first, last, life, flag = string.match(stored[i + 1], '^(%d+) (%d+) (%d+) %a(%a)$')
    if first + life <= now then return {'yield', 'handle', stored[i]} end
    if flag == 'u' and first + last < oldest then victim, oldest = stored[i], first + last end
  end
  if victim and ARGV[5] == 'v' then return {'yield', 'handle', victim} end
  return {'full', 'handle'}
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3] .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[2], 604800)
return {'ok'}
