#!lua
-- Purpose: remember when a shop's products were last seen in clicks and sales, the newest ones up to a cap. What only public keys showed
--          scores below zero and gives way first; what a private key ever showed stays above.
-- KEYS[1]  products (sorted set: type, i for an integer or s for text, and ID)
-- ARGV[1]  most products   ARGV[2]  life in seconds   ARGV[3]  how far below its time the score is of what only public keys showed
-- ARGV[4...]  of each: type and ID, time in s, 1 where a private key showed it or empty
-- Touches  the products given
-- Returns  nothing
for i = 4, #ARGV, 3 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  local private = ARGV[i + 2] == '1' or (score and tonumber(score) >= 0)
  redis.call('ZADD', KEYS[1], string.format('%.0f', ARGV[i + 1] - (private and 0 or ARGV[3])), ARGV[i])
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[1]) - 1)
redis.call('EXPIRE', KEYS[1], ARGV[2])
