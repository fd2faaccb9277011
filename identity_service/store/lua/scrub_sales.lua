#!lua flags=allow-oom
-- Purpose: erase: take a handle out of sales that name it; the orders and their visitors stay.
-- Uses     rewrite
-- KEYS[1]  sales of the handle (set of digests)   KEYS[2]  rewrite (hash)   KEYS[3...]  sales (hashes)
-- ARGV[1]  handle's name   ARGV[2]  time of the erasure, s   ARGV[3...]  digests of the sales
-- Touches  the sales given
-- Returns  nothing
note_rewrite(KEYS[2], ARGV[2])
for i = 3, #ARGV do
  local sale = KEYS[i]
  local time, email, customer = unpack(redis.call('HMGET', sale, 'time', 'email', 'customer'))
  if not time or tonumber(time) <= tonumber(ARGV[2]) then
    if email == ARGV[1] then redis.call('HDEL', sale, 'email') end
    if customer == ARGV[1] then redis.call('HDEL', sale, 'customer') end
    redis.call('SREM', KEYS[1], ARGV[i])
  end
end
