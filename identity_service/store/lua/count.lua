#!lua
-- Purpose: add to counters of one shop; a label beyond the cap is counted under its kind's rest, so that labels displace nothing else.
-- KEYS[1]  counters (hash: "kind name" -> number)
-- ARGV[1]  most names before labels have to be known   ARGV[2]  life in seconds   ARGV[3]  highest number
-- ARGV[4...]  pairs of "kind name" and number
-- Touches  the names given
-- Returns  nothing. A number stops at the highest, or below zero at the lowest: one sale must not keep the others from being counted.
local labelled = {click = true, order = true, revenue = true}
for i = 4, #ARGV, 2 do
  local field, kind = ARGV[i], string.match(ARGV[i], '^%S+')
  local full = labelled[kind] and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[1])
  if full and redis.call('HEXISTS', KEYS[1], field) == 0 then field = kind .. ' ...' end
  local told = redis.pcall('HINCRBY', KEYS[1], field, ARGV[i + 1])
  if type(told) == 'table' then
    local sign = string.sub(ARGV[i + 1], 1, 1) == '-' and '-' or ''
    redis.call('HSET', KEYS[1], field, sign .. ARGV[3])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
