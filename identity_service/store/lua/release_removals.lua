#!lua flags=allow-oom
-- Purpose: repair: forget removals that are done, unless a newer one has taken their place.
-- KEYS[1]  removals (hash name -> "kind time")
-- ARGV     pairs of name and value as read
-- Returns  how many remain
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return redis.call('HLEN', KEYS[1])
