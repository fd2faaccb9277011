#!lua flags=allow-oom
-- Purpose: erase: take a handle out of sales that name it; the orders and their visitors stay.
-- Uses     links, removal
-- KEYS[1]  sales of the handle (set of digests)   KEYS[2]  rewrite (hash)   KEYS[3...]  sales (hashes)
-- ARGV[1]  handle's name   ARGV[2]  latest time of a sale, s   ARGV[3]  now, s   ARGV[4...]  digests of the sales
-- Touches  the sales given
-- Returns  nothing
note_rewrite(KEYS[2], ARGV[3])
for i = 4, #ARGV do
  local sale = KEYS[i - 1]
  local time, email, customer = unpack(redis.call('HMGET', sale, 'time', 'email', 'customer'))
  if not time or tonumber(time) <= tonumber(ARGV[2]) then
    if email == ARGV[1] then redis.call('HDEL', sale, 'email') end
    if customer == ARGV[1] then redis.call('HDEL', sale, 'customer') end
    redis.call('SREM', KEYS[1], ARGV[i])
  end
end
