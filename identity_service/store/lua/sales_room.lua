#!lua flags=no-writes
-- Purpose: is there room under a handle for one more sale that names it?
-- KEYS[1]  sales (set of digests)
-- ARGV     as of index_under_handle
-- Returns  ok or full
local known = redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1
if not known and redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 'full' end
return 'ok'
