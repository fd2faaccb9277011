#!lua flags=no-writes
-- Purpose: count what is stored of some visitors.
-- Uses     links
-- KEYS[1]  record (hash)   KEYS[2]  events (list)   KEYS[3]  earlier receipts (list)   KEYS[4]  sales (hash); then those of the next visitor
-- Touches  names of all fields of each record
-- Returns  for each visitor {events, receipts, sales, names of handles}
local found = {}
for i = 1, #KEYS, 4 do
  local events, receipts, sales = redis.call('LLEN', KEYS[i + 1]), redis.call('LLEN', KEYS[i + 2]), redis.call('HLEN', KEYS[i + 3])
  found[#found + 1] = {events, receipts, sales, unpack(pointers_of(KEYS[i]))}
end
return found
