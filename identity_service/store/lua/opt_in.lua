#!lua
-- Purpose: lift a visitor's opt-out of sale and sharing by an explicit opt-in, and keep the receipt that proves it.
-- Uses     receipts
-- KEYS[1]  record (hash)   KEYS[2]  earlier receipts (list)   KEYS[3]  piece of receipts (list)
-- ARGV[1]  now, ms   ARGV[2]  when the opt-in was asked for, ms   ARGV[3]  receipt ID, or empty for none   ARGV[4]  receipt key
-- ARGV[5]  receipt   ARGV[6]  its life, s
-- Touches  seven fields, and two lists
-- Returns  opted_in; stands if an opt-in stands: then no receipt is kept; used if the visitor opted in since it was asked, and then out
--          again; or gone if there is no record, or a derived ID's, which several people may share
local kind, expires, opted_out, opted_in = unpack(redis.call('HMGET', KEYS[1], 'k', 'x', 'w', 'y'))
if not kind or kind == 'd' or tonumber(expires) * 1000 <= tonumber(ARGV[1]) then return 'gone' end
if opted_out and opted_in and tonumber(opted_in) >= tonumber(ARGV[2]) then return 'used' end
local stands = opted_in and not opted_out
if not stands or tonumber(opted_in) < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'y', ARGV[1]) end
if stands then return 'stands' end
redis.call('HDEL', KEYS[1], 'w')
if ARGV[3] ~= '' then
  local earlier = redis.call('HGET', KEYS[1], 'r')
  keep_receipt(KEYS[3], ARGV[5], ARGV[6])
  redis.call('HSETNX', KEYS[1], 'q', ARGV[4])
  if earlier then list_receipt(KEYS[2], earlier, redis.call('TTL', KEYS[1])) end
  redis.call('HSET', KEYS[1], 'r', ARGV[3])
end
return 'opted_in'
