#!lua flags=allow-oom
-- Purpose: forget destructions that a rewrite of the append-only file has covered; later ones stay noted.
-- KEYS[1]  rewrite (hash: first, last)
-- ARGV[1]  time the rewrite began, s
-- Returns  nothing
local last = tonumber(redis.call('HGET', KEYS[1], 'last') or 0)
if last <= tonumber(ARGV[1]) then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'first', last)
end
