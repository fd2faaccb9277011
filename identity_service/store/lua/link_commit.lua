#!lua
-- Purpose: link, step 3: turn an announced link into a link.
-- KEYS[1]  links (hash)   KEYS[2]  intents (hash nonce -> "time visitor", "-time visitor" once revoked)
-- ARGV[1]  nonce   ARGV[2]  visitor   ARGV[3]  now, s   ARGV[4]  expiry, s   ARGV[5]  source letter   ARGV[6]  v or u
-- Returns  1, or 0 where a removal took the announcement away or revoked it
local intent = redis.call('HGET', KEYS[2], ARGV[1])
if not intent or string.sub(intent, 1, 1) == '-' then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
local now, expires, flag = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[6]
local first, last = now, now
local stored = redis.call('HGET', KEYS[1], ARGV[2])
if stored then
  local old_first, old_last, old_life, old_flag = string.match(stored, '^(%d+) (%d+) (%d+) %a(%a)$')
  if old_first + old_life > now then  -- one that began later, or by a clock that is ahead, may have been faster
    first, last = math.min(old_first, now), math.max(old_first + old_last, now)
    if old_flag == 'v' then flag = 'v' end
  end
end
redis.call('HSET', KEYS[1], ARGV[2], string.format('%d %d %d %s%s', first, last - first, expires - first, ARGV[5], flag))
local life = expires - now
if redis.call('TTL', KEYS[1]) < life then redis.call('EXPIRE', KEYS[1], life) end
return 1
