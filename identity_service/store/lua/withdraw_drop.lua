#!lua flags=allow-oom
-- Purpose: withdraw, last step: drop everything held under the visitor; only the gone mark stays.
-- KEYS[1]  record (hash)   KEYS[2]  events (list)   KEYS[3]  receipts (list)   KEYS[4]  sales (set)
-- Returns  {1 if there was a record, number of events}
local events = redis.call('LLEN', KEYS[2])
local existed = redis.call('EXISTS', KEYS[1])
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
return {existed, events}
