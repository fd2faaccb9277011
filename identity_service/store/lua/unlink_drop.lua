#!lua flags=allow-oom
-- Purpose: unlink: drop a link and remember the visitor until its pointer is settled.
-- KEYS[1]  links (hash)   KEYS[2]  removals (hash visitor -> "kind time", ms; e: erasure, u: unlink)
-- ARGV[1]  visitor   ARGV[2]  now, ms
-- Returns  1 if there was a link
local existed = redis.call('HDEL', KEYS[1], ARGV[1])
local open = redis.call('HGET', KEYS[2], ARGV[1])
local kind = open and string.sub(open, 1, 1) or 'u'
redis.call('HSET', KEYS[2], ARGV[1], kind .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[2], 34560000)
return existed
