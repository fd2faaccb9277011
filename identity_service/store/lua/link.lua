#!lua
-- Purpose: link in one step, where one server holds both slots: nothing can come between, and a crash leaves nothing open.
-- Uses     link_intend, link_point, link_commit
-- KEYS[1]  links (hash)   KEYS[2]  intents (hash)   KEYS[3]  removals (hash)   KEYS[4]  record (hash)   KEYS[5]  gone (string)
-- ARGV[1..6]  as of link_intend: nonce, visitor, now ...   ARGV[7..15]  as of link_point   ARGV[16]  source letter
-- Returns  {ok}, or what the step returns that refused; then nothing has changed
local announced = link_intend({KEYS[1], KEYS[2], KEYS[3]}, {unpack(ARGV, 1, 6)})
if announced[1] ~= 'ok' then return announced end
local pointed = link_point({KEYS[4], KEYS[5]}, {unpack(ARGV, 7, 15)})
if pointed[1] ~= 'ok' then
  redis.call('HDEL', KEYS[2], ARGV[1])
  return pointed
end
link_commit({KEYS[1], KEYS[2]}, {ARGV[1], ARGV[2], ARGV[3], pointed[2], ARGV[16], ARGV[5]})
return {'ok'}
