#!lua
-- Purpose: count events of visitors who said nothing. What is kept is a whole number of tens; the rest waits under a digest until it is
--          ten, and ends with the day. So the store keeps no number, and no label, of fewer than ten events.
-- KEYS[1]  remainders of the day (hash: digest -> number)   KEYS[2]  figures of an hour or a day (hash: name -> number)
-- ARGV[1]  most remainders, from which on new labels do not count   ARGV[2]  life of the remainders, s   ARGV[3]  life of the figures, s
-- ARGV[4]  smallest number that is kept
-- ARGV[5...]  for each: digest of the period and the name, 1 for a label or empty, name, number
-- Touches  the names given
-- Returns  nothing
local least, kept = tonumber(ARGV[4]), false

local function has_room(field, label)
  return label == '' or redis.call('HLEN', KEYS[1]) < tonumber(ARGV[1]) or redis.call('HEXISTS', KEYS[1], field) == 1
end

for i = 5, #ARGV, 4 do
  if has_room(ARGV[i], ARGV[i + 1]) then
    local waiting = redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 3])
    local whole = waiting - waiting % least
    if whole > 0 then
      redis.call('HINCRBY', KEYS[1], ARGV[i], -whole)
      redis.call('HINCRBY', KEYS[2], ARGV[i + 2], whole)
      kept = true
    end
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
if kept then redis.call('EXPIRE', KEYS[2], ARGV[3]) end
