#!lua
-- Purpose: add to counters of one shop; a name beyond the cap is counted under its kind's rest.
-- KEYS[1]  counters (hash: "kind name" -> number)
-- ARGV[1]  most names   ARGV[2]  life in seconds   ARGV[3...]  pairs of "kind name" and number
-- Returns  nothing
local held = redis.call('HLEN', KEYS[1])
for i = 3, #ARGV, 2 do
  local field = ARGV[i]
  if held >= tonumber(ARGV[1]) and redis.call('HEXISTS', KEYS[1], field) == 0 then field = string.match(field, '^%S+') .. ' ...' end
  redis.call('HINCRBY', KEYS[1], field, ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
