#!lua flags=allow-oom
-- Purpose: repair: announced links that nobody confirmed become removals, so that their pointers get settled.
-- KEYS[1]  intents (hash nonce -> "time visitor", "-time visitor" once revoked)   KEYS[2]  removals (hash visitor -> "kind time", ms)
-- ARGV[1]  oldest time an intent may keep, s
-- Returns  how many intents remain
local intents = redis.call('HGETALL', KEYS[1])
for i = 1, #intents, 2 do
  local time, visitor = string.match(intents[i + 1], '^%-?(%d+) (.*)$')
  if tonumber(time) <= tonumber(ARGV[1]) then
    redis.call('HDEL', KEYS[1], intents[i])
    redis.call('HSETNX', KEYS[2], visitor, 'u ' .. time .. '000')
    redis.call('EXPIRE', KEYS[2], 34560000)
  end
end
return redis.call('HLEN', KEYS[1])
