#!lua
-- Purpose: link, step 3: turn an announced link into a link.
-- Uses     link_write
-- KEYS[1]  links (hash)   KEYS[2]  intents (hash nonce -> "time visitor", "-time visitor" once revoked)
-- ARGV[1]  nonce   ARGV[2...]  as of link_write
-- Returns  1, or 0 where a removal took the announcement away or revoked it
local intent = redis.call('HGET', KEYS[2], ARGV[1])
if not intent or string.sub(intent, 1, 1) == '-' then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
link_write({KEYS[1]}, {unpack(ARGV, 2)})
return 1
