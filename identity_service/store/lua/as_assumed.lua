#!lua flags=no-writes
-- Purpose: is a visitor as a worker assumed when it decided?
-- KEYS[1]  record (hash)
-- ARGV[1]  the visitor as assumed: decisive fields and gone, a line each   ARGV[2]  gone as stored, false for none
-- Returns  true or false
local stored = redis.call('HMGET', KEYS[1], 'k', 'x', 'g', 's', 'n', 'v', 'w', 'o', 't', 'b')
for i = 1, #stored do stored[i] = stored[i] or '' end
return table.concat(stored, '\n') .. '\n' .. (ARGV[2] or '') == ARGV[1]
