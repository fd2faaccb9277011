#!lua flags=no-writes
-- Purpose: for a move, read a whole key.
-- KEYS[1]  key
-- Touches  all elements of one key
-- Returns  {type, none if there is no key; expiry, ms since 1970, or -1; value: a text, elements, or alternating names and values}
local kind = redis.call('TYPE', KEYS[1]).ok
local expiry = redis.call('PEXPIRETIME', KEYS[1])
local value = false
if kind == 'string' then value = redis.call('GET', KEYS[1]) end
if kind == 'hash' then value = redis.call('HGETALL', KEYS[1]) end
if kind == 'list' then value = redis.call('LRANGE', KEYS[1], 0, -1) end
if kind == 'set' then value = redis.call('SMEMBERS', KEYS[1]) end
if kind == 'zset' then value = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES') end
return {kind, expiry, value}
