#!lua flags=no-writes
-- Purpose: read removed visitors, the oldest first.
-- KEYS[1]  removals (list, as of parts/removals)
-- ARGV[1]  number of the entry that the caller has read last; 0 for none   ARGV[2]  most entries
-- Touches  as many entries
-- Returns  entries as stored
local newest = redis.call('LINDEX', KEYS[1], 0)
if not newest then return {} end
local newer = tonumber(string.match(newest, '^%d+')) - tonumber(ARGV[1])
local last = math.min(newer, redis.call('LLEN', KEYS[1])) - 1
if last < 0 then return {} end
local found, oldest_first = redis.call('LRANGE', KEYS[1], math.max(0, last - tonumber(ARGV[2]) + 1), last), {}
for i = #found, 1, -1 do oldest_first[#oldest_first + 1] = found[i] end
return oldest_first
