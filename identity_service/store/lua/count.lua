#!lua
-- Purpose: add to counters of one shop; a label beyond the cap is counted under its kind's rest, and an amount in another currency (kind
--          with a colon) not at all, so that neither displaces anything else.
-- KEYS[1]  counters (hash: "kind name" -> number)
-- ARGV[1]  most names before labels have to be known   ARGV[2]  life in seconds   ARGV[3]  highest number
-- ARGV[4...]  pairs of "kind name" and number
-- Touches  the names given
-- Returns  nothing. A number stops at the highest, or below zero at the lowest: one sale must not keep the others from being counted.
local labelled = {click = true, order = true, revenue = true}

local function field_of(told)
  local kind = string.match(told, '^%S+')
  local foreign = string.find(kind, ':', 1, true)
  if not (labelled[kind] or foreign) or redis.call('HLEN', KEYS[1]) < tonumber(ARGV[1]) or redis.call('HEXISTS', KEYS[1], told) == 1 then
    return told
  end
  return not foreign and kind .. ' ...'
end

for i = 4, #ARGV, 2 do
  local field = field_of(ARGV[i])
  local told = field and redis.pcall('HINCRBY', KEYS[1], field, ARGV[i + 1])
  if type(told) == 'table' then
    local sign = string.sub(ARGV[i + 1], 1, 1) == '-' and '-' or ''
    redis.call('HSET', KEYS[1], field, sign .. ARGV[3])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
