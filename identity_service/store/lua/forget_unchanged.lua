#!lua flags=allow-oom
-- Purpose: forget entries that are dealt with, unless a newer value has taken their place.
-- KEYS[1]  rewrite (hash time -> count), or links of which some have ended (hash)
-- ARGV     pairs of field and value as read
-- Touches  the fields given
-- Returns  nothing
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
