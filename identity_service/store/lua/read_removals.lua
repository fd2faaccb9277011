#!lua flags=no-writes
-- Purpose: read removed visitors, the oldest first.
-- KEYS[1]  removals (list, as in parts/removals)
-- ARGV[1]  number of the entry that the caller read last, or 0   ARGV[2]  the beginning of its digest   ARGV[3]  most entries
-- Touches  as many entries, and one more
-- Returns  entries as stored. All of them if the caller's entry is not where its number says: it is too old, or the list came from a backup
local newest, length = redis.call('LINDEX', KEYS[1], 0), redis.call('LLEN', KEYS[1])
if not newest then return {} end
local newer = tonumber(string.match(newest, '^%d+')) - tonumber(ARGV[1])
local last_read = newer >= 0 and redis.call('LINDEX', KEYS[1], newer)
if not last_read or string.sub(string.match(last_read, ':(%x+)$'), 1, #ARGV[2]) ~= ARGV[2] then newer = length end
if newer == 0 then return {} end
local found, oldest_first = redis.call('LRANGE', KEYS[1], math.max(0, newer - tonumber(ARGV[3])), newer - 1), {}
for i = #found, 1, -1 do oldest_first[#oldest_first + 1] = found[i] end
return oldest_first
