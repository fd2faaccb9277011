#!lua flags=allow-oom
-- Purpose: withdraw: take a visitor and its sales off one handle, and revoke its announced links.
-- KEYS[1]  links (hash)   KEYS[2]  intents (hash nonce -> "time visitor", "-time visitor" once revoked)   KEYS[3]  sales (set of digests)
-- ARGV[1]  visitor   ARGV[2...]  sale digests
-- Returns  1 if there was a link
local existed = redis.call('HDEL', KEYS[1], ARGV[1])
local intents = redis.call('HGETALL', KEYS[2])
for i = 1, #intents, 2 do
  if string.match(intents[i + 1], '^%d+ (.*)$') == ARGV[1] then redis.call('HSET', KEYS[2], intents[i], '-' .. intents[i + 1]) end
end
for i = 2, #ARGV do redis.call('SREM', KEYS[3], ARGV[i]) end
return existed
