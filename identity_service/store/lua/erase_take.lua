#!lua flags=allow-oom
-- Purpose: erase: take all visitors off a handle, remembering them and its sales until each is dealt with; what an earlier
--          erasure still remembers is taken again.
-- KEYS[1]  links (hash)   KEYS[2]  intents (hash)   KEYS[3]  removals (hash)   KEYS[4]  sales (set of digests)
-- ARGV[1]  now, ms   ARGV[2]  e: erasure, a: of visitors that are linked without proof, too
-- Returns  {links, names, sale digests}
local links = redis.call('HKEYS', KEYS[1])
local names, known = {}, {}
local function remember(name)
  if not known[name] then names[#names + 1] = name end
  known[name] = true
end
for _, visitor in ipairs(links) do remember(visitor) end
for _, intent in ipairs(redis.call('HVALS', KEYS[2])) do remember(string.match(intent, '^%-?%d+ (.*)$')) end
local open = redis.call('HGETALL', KEYS[3])
for i = 1, #open, 2 do
  if string.match(open[i + 1], '^[ea] ') then remember(open[i]) end
end
for _, name in ipairs(names) do redis.call('HSET', KEYS[3], name, ARGV[2] .. ' ' .. ARGV[1]) end
local sales = redis.call('SMEMBERS', KEYS[4])
for _, sale in ipairs(sales) do redis.call('HSET', KEYS[3], '$' .. sale, 's ' .. ARGV[1]) end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[4])
if #names + #sales > 0 then redis.call('EXPIRE', KEYS[3], 34560000) end
return {#links, names, sales}
