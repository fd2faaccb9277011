#!lua
-- Purpose: add to the counters of one shop's hour. Beyond the cap, a new label or agent counts under its kind's rest, and a new amount in another
--          currency (a kind with a colon) does not count. So neither displaces anything else.
-- KEYS[1]  counters (hash: "kind name" -> number)
-- ARGV[1]  number of names from which on new labels do not count   ARGV[2]  life, s   ARGV[3]  highest number
-- ARGV[4...]  pairs of "kind name" and number
-- Touches  the names given
-- Returns  nothing. A number stops at the highest, or below zero at the lowest, so that one sale does not prevent the count of others.
local labelled = {click = true, order = true, revenue = true}
for _, kind in ipairs({'visits', 'clicks', 'orders', 'revenue'}) do labelled['agent_' .. kind] = true end

local function field_of(name)
  local kind = string.match(name, '^%S+')
  local foreign = string.find(kind, ':', 1, true)
  if not (labelled[kind] or foreign) or redis.call('HLEN', KEYS[1]) < tonumber(ARGV[1]) or redis.call('HEXISTS', KEYS[1], name) == 1 then
    return name
  end
  return not foreign and kind .. ' ...'
end

for i = 4, #ARGV, 2 do
  local field = field_of(ARGV[i])
  local sum = field and redis.pcall('HINCRBY', KEYS[1], field, ARGV[i + 1])
  if type(sum) == 'table' then -- an error: the number would overflow
    local sign = string.sub(ARGV[i + 1], 1, 1) == '-' and '-' or ''
    redis.call('HSET', KEYS[1], field, sign .. ARGV[3])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
