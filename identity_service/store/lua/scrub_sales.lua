#!lua flags=allow-oom
-- Purpose: the part of an erasure by a handle for its sales: they name the handle no longer. Orders and their visitors stay.
-- Uses     rewrite, sales
-- KEYS[1]  links of the handle (hash)   KEYS[2]  rewrite (hash)   KEYS[3...]  sales (strings)
-- ARGV[1]  handle's name   ARGV[2]  time of the erasure, s   ARGV[3...]  digests of the sales
-- Touches  the sales given
-- Returns  nothing
note_rewrite(KEYS[2], ARGV[2])
for i = 3, #ARGV do
  local sale = read_sale(KEYS[i])
  if not sale or tonumber(sale.time) <= tonumber(ARGV[2]) then
    if sale then
      if sale.email == ARGV[1] then sale.email = '' end
      if sale.customer == ARGV[1] then sale.customer = '' end
      keep_sale(KEYS[i], sale)
    end
    redis.call('HDEL', KEYS[1], '$' .. ARGV[i])
  end
end
