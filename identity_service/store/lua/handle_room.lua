#!lua flags=no-writes
-- Purpose: is there room at a handle for one more visitor? Links that have ended give way to any, those without proof to those
--          by token, and these to those by key: the oldest of the weakest kind first.
-- KEYS[1]  links (hash)   KEYS[2]  intents (hash nonce -> "time visitor")   KEYS[3]  removals (hash)
-- ARGV[1]  nonce   ARGV[2]  visitor   ARGV[3]  now, s   ARGV[4]  cap of visitors   ARGV[5]  proof: v, t or u
-- ARGV[6]  most removals that may wait before new visitors are refused
-- Returns  {ok}, {full, handle}, or {yield, handle, visitor and link, ...} for those that have to be unlinked first, at most 32
local rank = {v = 3, t = 2, u = 1}
local now, room = tonumber(ARGV[3]), tonumber(ARGV[4])
if ARGV[5] ~= 'v' then room = math.floor(room / 2) end
local function read(link)
  local first, last, life, flag = string.match(link, '^(%d+) (%d+) (%d+) %a(%a)$')
  return first + life > now, first + last, flag
end
local own = redis.call('HGET', KEYS[1], ARGV[2])
if own and read(own) then return {'ok'} end
if redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[6]) then return {'full', 'handle'} end
if redis.call('HLEN', KEYS[1]) + redis.call('HLEN', KEYS[2]) - (own and 1 or 0) < room then return {'ok'} end
local yield, weakest, lowest, oldest = {'yield', 'handle'}, nil, rank[ARGV[5]], math.huge
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  local living, last, flag = read(stored[i + 1])
  if not living and stored[i] ~= ARGV[2] and #yield < 66 then
    yield[#yield + 1], yield[#yield + 2] = stored[i], stored[i + 1]
  elseif living and (rank[flag] < lowest or (weakest and rank[flag] == lowest and last < oldest)) then
    weakest, lowest, oldest = i, rank[flag], last
  end
end
if #yield > 2 then return yield end
if weakest then return {'yield', 'handle', stored[weakest], stored[weakest + 1]} end
return {'full', 'handle'}
