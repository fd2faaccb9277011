#!lua
-- Purpose: remember when products of a shop were last seen in clicks and sales, up to a cap. Products that only public keys showed score
--          below zero, and are dropped first. A product that a private key ever showed stays above zero.
-- KEYS[1]  products (sorted set: type, i for an integer or s for text, and ID)
-- ARGV[1]  most products   ARGV[2]  life, s   ARGV[3]  subtracted from the time of a product that only public keys showed
-- ARGV[4...]  for each: type and ID; time, s; 1 if a private key showed it, or empty
-- Touches  the products given
-- Returns  nothing
for i = 4, #ARGV, 3 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  local private = ARGV[i + 2] == '1' or (score and tonumber(score) >= 0)
  redis.call('ZADD', KEYS[1], string.format('%.0f', ARGV[i + 1] - (private and 0 or ARGV[3])), ARGV[i])
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[1]) - 1)
redis.call('EXPIRE', KEYS[1], ARGV[2])
