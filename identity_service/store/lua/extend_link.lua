#!lua
-- Purpose: let a link live as long as its visitor after a grant; never makes a link.
-- KEYS[1]  links (hash)
-- ARGV[1]  visitor   ARGV[2]  now, s   ARGV[3]  expiry, s
-- Returns  1, or 0 where there is no living link
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored then return 0 end
local times, expires, rest = string.match(stored, '^(%d+ %d+) (%d+) (%a %a)$')
if tonumber(expires) <= tonumber(ARGV[2]) then return 0 end
if tonumber(expires) < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], ARGV[1], times .. ' ' .. ARGV[3] .. ' ' .. rest)
end
local life = tonumber(ARGV[3]) - tonumber(ARGV[2])
if redis.call('TTL', KEYS[1]) < life then redis.call('EXPIRE', KEYS[1], life) end
return 1
