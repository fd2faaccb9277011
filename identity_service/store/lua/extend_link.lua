#!lua
-- Purpose: let a link live as long as its visitor after a grant; never makes a link.
-- KEYS[1]  links (hash)
-- ARGV[1]  visitor   ARGV[2]  now, s   ARGV[3]  expiry, s
-- Returns  1, or 0 where there is no living link
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored then return 0 end
local first, last, life, flags = string.match(stored, '^(%d+) (%d+) (%d+) (%a%a)$')
local now, expires = tonumber(ARGV[2]), tonumber(ARGV[3])
if first + life <= now then return 0 end
if first + life < expires then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %d %d %s', first, last, expires - first, flags))
end
if redis.call('TTL', KEYS[1]) < expires - now then redis.call('EXPIRE', KEYS[1], expires - now) end
return 1
