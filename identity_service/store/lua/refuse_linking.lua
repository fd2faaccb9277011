#!lua flags=allow-oom
-- Purpose: remember that a visitor refused links to emails, also without a grant, and the receipt that proves it.
-- Uses     list_receipt, handles_of
-- KEYS[1]  record (hash)   KEYS[2]  gone (string)   KEYS[3]  earlier receipts (list)
-- ARGV[1]  kind of a new record   ARGV[2]  now, s   ARGV[3]  expiry of a new record, s   ARGV[4]  length of a handle's name
-- ARGV[5]  receipt ID, or empty where the refusal is known already   ARGV[6]  receipt key
-- Returns  names of the handles that have to be unlinked; none where the visitor is gone, whose withdrawal sees to it
if redis.call('EXISTS', KEYS[2]) == 1 then return {} end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'k', ARGV[1], 'f', ARGV[2], 'l', ARGV[2], 'x', ARGV[3])
  redis.call('EXPIRE', KEYS[1], tonumber(ARGV[3]) - tonumber(ARGV[2]))
end
redis.call('HSET', KEYS[1], 'n', 'refused')
if ARGV[5] ~= '' then
  redis.call('HSETNX', KEYS[1], 'q', ARGV[6])
  local earlier = redis.call('HGET', KEYS[1], 'r')
  if earlier then list_receipt({KEYS[3]}, {earlier, redis.call('TTL', KEYS[1])}) end
  redis.call('HSET', KEYS[1], 'r', ARGV[5])
end
return handles_of(KEYS, {ARGV[4]})
