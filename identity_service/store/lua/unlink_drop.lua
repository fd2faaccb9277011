#!lua flags=allow-oom
-- Purpose: unlink: drop a link and remember the visitor until its pointer is settled.
-- KEYS[1]  links (hash)   KEYS[2]  removals (hash visitor -> "kind time", ms; e: erasure, u: unlink)
-- ARGV[1]  visitor   ARGV[2]  now, ms   ARGV[3]  most removals of visitors that are not linked, or empty: any number
-- ARGV[4]  how a link must end to be dropped: that of one which yields may have become a better one
-- Returns  1 if there was a link, 0 if there was none or a better one, -1 where too much waits to be settled and nothing was done
local link = redis.call('HGET', KEYS[1], ARGV[1])
if link and string.sub(link, -#ARGV[4]) ~= ARGV[4] and ARGV[4] ~= '' then return 0 end
if not link and ARGV[3] ~= '' and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[3]) then return -1 end
redis.call('HDEL', KEYS[1], ARGV[1])
local kind, time = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or 'u 0', '^(%a) (%d+)$')
redis.call('HSET', KEYS[2], ARGV[1], string.format('%s %.0f', kind, math.max(tonumber(time), tonumber(ARGV[2]))))
redis.call('EXPIRE', KEYS[2], 34560000)
return link and 1 or 0
