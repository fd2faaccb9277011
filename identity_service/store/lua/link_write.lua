#!lua
-- Purpose: write a link at its handle, over an earlier one of the same visitor.
-- Uses     link_proof
-- KEYS[1]  links (hash)
-- ARGV[1]  visitor   ARGV[2]  now, s   ARGV[3]  expiry, s   ARGV[4]  source letter   ARGV[5]  proof: v, t or u
-- Returns  nothing
local now, expires, flag = tonumber(ARGV[2]), tonumber(ARGV[3]), link_proof(KEYS, {ARGV[1], ARGV[2], ARGV[5]})
local first, last = now, now
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored then
  local old_first, old_last, old_life = string.match(stored, '^(%d+) (%d+) (%d+) %a%a$')
  if old_first + old_life > now then  -- one that began later, or by a clock that is ahead, may have been faster
    first, last = math.min(old_first, now), math.max(old_first + old_last, now)
  end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %d %d %s%s', first, last - first, expires - first, ARGV[4], flag))
local life = expires - now
if redis.call('TTL', KEYS[1]) < life then redis.call('EXPIRE', KEYS[1], life) end
