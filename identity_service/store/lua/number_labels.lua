#!lua
-- Purpose: give labels of a shop their numbers, up to a cap. A number is a digest of its label. A label whose number is taken gets none.
-- KEYS[1]  labels (hash: number -> label)
-- ARGV[1]  most labels   ARGV[2]  life, s   ARGV[3...]  pairs of number and label
-- Touches  the labels given
-- Returns  the number of each label, or 0 for none
local numbers = {}
local room = tonumber(ARGV[1]) - redis.call('HLEN', KEYS[1])
for i = 3, #ARGV, 2 do
  local number, label = ARGV[i], ARGV[i + 1]
  local stored = redis.call('HGET', KEYS[1], number)
  if not stored and room > 0 then
    redis.call('HSET', KEYS[1], number, label)
    stored, room = label, room - 1
  end
  numbers[#numbers + 1] = stored == label and tonumber(number) or 0
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return numbers
