#!lua flags=allow-oom
-- Purpose: remove fields, unless their values have changed since the caller read them.
-- KEYS[1]  rewrite (hash, time -> count), or links (hash)
-- ARGV     pairs of field and value
-- Touches  the fields given
-- Returns  nothing
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
