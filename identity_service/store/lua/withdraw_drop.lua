#!lua flags=allow-oom
-- Purpose: withdraw, last step: drop everything held under the visitor, unless another has ended this removal; the gone mark stays.
-- KEYS[1]  record (hash)   KEYS[2]  events (list)   KEYS[3]  receipts (list)   KEYS[4]  sales (set)
-- KEYS[5]  gone (string: ms, and the nonce of the removal while one is open)
-- ARGV[1]  nonce of the removal
-- Returns  {1, 1 if there was a record, number of events}, or {0} where the removal was ended before
local at, nonce = string.match(redis.call('GET', KEYS[5]) or '', '^(%d+) (.+)$')
if nonce ~= ARGV[1] then return {0} end
local events = redis.call('LLEN', KEYS[2])
local existed = redis.call('EXISTS', KEYS[1])
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('SET', KEYS[5], at, 'KEEPTTL')
return {1, existed, events}
