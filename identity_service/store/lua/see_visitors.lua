#!lua
-- Purpose: add visitors to a sketch of the day, and keep its estimate. The sketch ends with the day.
-- KEYS[1]  sketch (HyperLogLog)   KEYS[2]  figures of the day (hash: name -> number)
-- ARGV[1]  name of the figure   ARGV[2]  life of the sketch, s   ARGV[3]  life of the figures, s   ARGV[4]  rounds down to this
-- ARGV[5...]  digests of visitors
-- Touches  the visitors given
-- Returns  nothing
local added = redis.call('PFADD', KEYS[1], unpack(ARGV, 5))
if added == 0 then return end
redis.call('EXPIRE', KEYS[1], ARGV[2])
local found = redis.call('PFCOUNT', KEYS[1])
found = found - found % tonumber(ARGV[4])
if found > 0 then
  redis.call('HSET', KEYS[2], ARGV[1], found)
  redis.call('EXPIRE', KEYS[2], ARGV[3])
end
