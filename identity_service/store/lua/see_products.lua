#!lua
-- Purpose: remember when a shop's products were last seen in clicks and sales, and with which type of ID; new ones up to a cap.
-- KEYS[1]  products (hash: ID as text -> "type time", type i: integer, s: string)
-- ARGV[1]  most products   ARGV[2]  life in seconds   ARGV[3...]  pairs of ID and value
-- Touches  the products given
-- Returns  nothing
local held = redis.call('HLEN', KEYS[1])
for i = 3, #ARGV, 2 do
  local known = redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1
  if known or held < tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
  if not known then held = held + 1 end
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
