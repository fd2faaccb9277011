#!lua flags=allow-oom
-- Purpose: unlink: drop a link and remember the visitor until its pointer is settled.
-- KEYS[1]  links (hash)   KEYS[2]  removals (hash visitor -> "kind time", ms; e: erasure, u: unlink)
-- ARGV[1]  visitor   ARGV[2]  now, ms   ARGV[3]  most removals of visitors that are not linked, or empty: any number
-- Returns  1 if there was a link, 0 if there was none, -1 where too much waits to be settled and nothing was done
local existed = redis.call('HDEL', KEYS[1], ARGV[1])
if existed == 0 and ARGV[3] ~= '' and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[3]) then return -1 end
local open = redis.call('HGET', KEYS[2], ARGV[1])
local kind = open and string.sub(open, 1, 1) or 'u'
redis.call('HSET', KEYS[2], ARGV[1], kind .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[2], 34560000)
return existed
