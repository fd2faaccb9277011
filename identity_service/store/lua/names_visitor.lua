#!lua flags=allow-oom,no-writes
-- Purpose: settle, step b: does the handle still name the visitor, as a link or as an announced one?
-- KEYS[1]  links (hash)   KEYS[2]  intents (hash nonce -> "time visitor"; a revoked one begins with "-" and names nobody)
-- KEYS[3]  removals (hash visitor -> "kind time", ms; e: erasure, a: erasure of those without proof, too, u: unlink)
-- ARGV[1]  visitor
-- Returns  {1}, or {0, kind and time of the removal that took the visitor off the handle, else empty}
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return {1} end
for _, intent in ipairs(redis.call('HVALS', KEYS[2])) do
  if string.match(intent, '^%d+ (.*)$') == ARGV[1] then return {1} end
end
return {0, redis.call('HGET', KEYS[3], ARGV[1]) or ''}
