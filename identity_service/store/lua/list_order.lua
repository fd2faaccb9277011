#!lua
-- Purpose: list an order of a shop, whose oldest ones fall out; listed again, the latest time counts.
-- KEYS[1]  orders (sorted set of sale digests, score = time)
-- ARGV[1]  time, s with fractions   ARGV[2]  sale digest   ARGV[3]  most orders   ARGV[4]  life in seconds, counted anew when a
--          thousandth of it has passed
-- Returns  nothing
redis.call('ZADD', KEYS[1], 'GT', ARGV[1], ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[3]) - 1)
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[4]) * 0.999 then redis.call('EXPIRE', KEYS[1], ARGV[4]) end
