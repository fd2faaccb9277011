#!lua flags=allow-oom
-- Purpose: erase: take all visitors off a handle, remembering them and its sales until each is dealt with; what an earlier
--          erasure still remembers, and nobody has linked since, is taken again, as far as that one reached.
-- KEYS[1]  links (hash)   KEYS[2]  intents (hash)   KEYS[3]  removals (hash)   KEYS[4]  sales (set of digests)
-- ARGV[1]  now, ms   ARGV[2]  e: erasure, a: of visitors that are linked without proof, too
-- Returns  {links, names, how each is removed (e, a, or u: its link alone, which proves nothing), sale digests}
local links, open = redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[3])
local names, kinds = {}, {}
local function remember(name, kind)
  if not kinds[name] then names[#names + 1] = name end
  if not kinds[name] or kind < kinds[name] then kinds[name] = kind end -- the alphabet has it: a reaches furthest, then e, then u
end
for i = 1, #links, 2 do
  remember(links[i], ARGV[2] == 'e' and string.sub(links[i + 1], -1) == 'u' and 'u' or ARGV[2])
end
for _, intent in ipairs(redis.call('HVALS', KEYS[2])) do remember(string.match(intent, '^%-?%d+ (.*)$'), ARGV[2]) end
for i = 1, #open, 2 do
  local kind = string.match(open[i + 1], '^([ea]) ')
  if kind and not kinds[open[i]] then remember(open[i], kind < ARGV[2] and kind or ARGV[2]) end
end
local how = {}
for i, name in ipairs(names) do
  how[i] = kinds[name]
  redis.call('HSET', KEYS[3], name, how[i] .. ' ' .. ARGV[1])
end
local sales = redis.call('SMEMBERS', KEYS[4])
for _, sale in ipairs(sales) do redis.call('HSET', KEYS[3], '$' .. sale, 's ' .. ARGV[1]) end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[4])
if #names + #sales > 0 then redis.call('EXPIRE', KEYS[3], 34560000) end
return {#links / 2, names, how, sales}
